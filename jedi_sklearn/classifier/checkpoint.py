"""The directory of a fit: seeds, experts, a training in progress, the result."""

from __future__ import annotations

import logging
import pickle  # nosec B403 - the user named the directory, see SECURITY.md
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from ..utils.files import exclusive_lock, explained, left_by_killed, write_whole
from ..utils.manifests import check_format, dump_manifest, load_manifest

# Directories of a higher number were written by a newer version of this package.
FORMAT = 1
MANIFEST = "fit.json"
DIGEST_BYTES = 16
FINDINGS = ("experts", "training", "result")

_logger = logging.getLogger(__name__)


class FitDigest(NamedTuple):
    """Digest of one thing that a fit depends on.

    Attributes
    ----------
    digest : str
        Equal for equal things alone.
    shown : str
        The thing itself for messages, "" where it is too long to be read.
    """

    digest: str
    shown: str = ""

    def difference(self, name: str, there: FitDigest) -> str:
        """Return how this thing differs from the one there, for messages."""
        if NOTHING in (self, there):
            return f"{name} only {'here' if there == NOTHING else 'there'}"
        if there.shown or self.shown:
            return f"{name}={there.shown} there, {self.shown} here"
        return f"other {name}"


NOTHING = FitDigest("")

FitDigests = Mapping[str, FitDigest]


class KeptFit:
    """Named objects of a fit, each in a file that is there whole or not at all.

    They are pickles, as those of :class:`joblib.Memory` are: only who may write to the
    directory may say what they hold.

    Parameters
    ----------
    directory : Path or None
        None keeps nothing.
    """

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory

    def read(self, name: str) -> Any:
        """Return an object, None where it was not written.

        Raises
        ------
        ValueError
            If its file has changed since it was written.
        """
        if self.directory is None or not self._path(name).exists():
            return None
        data = self._path(name).read_bytes()
        digest, content = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
        if digest != _digest(content):
            raise ValueError(
                f"{self._path(name)} has changed since it was written. Remove this "
                "file to do again what it held."
            )
        _logger.info("Going on from %s.", self._path(name))
        return pickle.loads(content)  # nosec B301 - the user named the directory

    def write(self, name: str, content: Any) -> None:
        """Write an object in place of the one of this name."""
        if self.directory is not None:
            try:
                pickled = pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                raise ValueError(
                    f"The {name} of the fit cannot be pickled: {error}. Set "
                    "checkpoint=None, or give experts that can be when they are fitted."
                ) from error
            write_whole(self._path(name), [_digest(pickled), pickled])
            _logger.info("Wrote %s, %d bytes.", self._path(name), len(pickled))

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        if self.directory is not None:
            self._path(name).unlink(missing_ok=True)

    @property
    def has_something(self) -> bool:
        """Whether there is anything that took time to find."""
        return any(map(Path.exists, map(self._path, FINDINGS)))

    def _path(self, name: str) -> Path:
        assert self.directory is not None
        return self.directory / f"{name}.pickle"


@contextmanager
def keep_fit(
    checkpoint: Any, digests: FitDigests, *, is_one_of_many: bool
) -> Iterator[KeptFit]:
    """Open the directory of a fit, and keep other processes out of it.

    Parameters
    ----------
    checkpoint : str or Path
    digests : mapping of str to FitDigest
        Everything that the fit depends on.
    is_one_of_many : bool
        Whether the directory is shared by several fits, each with its own directory
        in it.

    Raises
    ------
    ValueError
        If what is there is of another fit, or of a newer version of the package.
    """
    directory = Path(checkpoint).absolute()  # wherever the fit may go
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"checkpoint='{directory}' must be a directory; it is a file.")
    if is_one_of_many:
        # Named for everything that the fit depends on.
        content = "".join(f"{n}\0{digests[n].digest}\0" for n in sorted(digests))
        directory /= blake2b(content.encode(), digest_size=8).hexdigest()
    with explained(directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = directory / "fit.lock"
    with exclusive_lock(lock, wait=False) as is_free:
        if is_free:
            yield _opened(directory, digests)
            return
    _logger.warning("Waiting for another process that fits the same in %s.", directory)
    with exclusive_lock(lock):
        yield _opened(directory, digests)


def _opened(directory: Path, digests: FitDigests) -> KeptFit:
    """Return the objects in the directory of a fit, if it is this fit's."""
    for leftover, written in left_by_killed(directory.glob(".*.tmp")):
        if written.suffix in (".pickle", ".json"):
            leftover.unlink(missing_ok=True)
    path, kept = directory / MANIFEST, KeptFit(directory)
    if path.exists():
        there = _read_manifest(path)
        if kept.has_something:
            _check_same(directory, there, digests)
        elif there != digests:  # one that failed before anything was found
            kept.remove("seeds")
            path.unlink()
    elif kept.has_something:
        raise ValueError(
            f"checkpoint='{directory}' has files of the names in which a fit is kept, "
            f"but no {MANIFEST}; name another directory."
        )
    if not path.exists():
        write_whole(path, [dump_manifest({"traits": digests}, FORMAT, indent=1)])
    return kept


def _read_manifest(path: Path) -> dict[str, FitDigest]:
    try:
        content, number = load_manifest(path.read_bytes())
        digests = {
            str(name): FitDigest(*map(str, t)) for name, t in content["traits"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} is no description of a fit ({error}). Remove the directory to fit "
            "anew, or name another as checkpoint."
        ) from error
    check_format(path, number, FORMAT, "name another directory as checkpoint")
    return digests


def _check_same(directory: Path, there: FitDigests, here: FitDigests) -> None:
    differences = [
        here.get(name, NOTHING).difference(name, there.get(name, NOTHING))
        for name in sorted({*there, *here})
        if here.get(name, NOTHING).digest != there.get(name, NOTHING).digest
    ]
    if differences:
        raise ValueError(
            f"checkpoint='{directory}' holds a fit that is another one: "
            f"{'; '.join(differences)}. Give what that fit was given to go on with it, "
            "name another directory, or remove this one."
        )


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=DIGEST_BYTES).digest()
