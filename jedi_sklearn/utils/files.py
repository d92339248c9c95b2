"""Files that are there whole or not at all, and locks."""

from __future__ import annotations

import os
import re
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

# The name of a file, in that of the temporary one.
TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{32}\.tmp")


def write_whole(path: Path, parts: Iterable[Any]) -> None:
    """Write a file so that it is there whole or not at all, whatever happens.

    Parameters
    ----------
    path : Path
    parts : iterable of bytes-like

    Raises
    ------
    OSError
        If it cannot be written; names the file and says what to do.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    with explained(path):
        try:
            with temporary.open("xb") as file:
                for part in parts:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        if os.name == "posix":
            # Else a power failure could take back that the file was renamed. Not every
            # file system knows how to.
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                with suppress(OSError):
                    os.fsync(directory)
            finally:
                os.close(directory)


def left_by_killed(candidates: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Find temporary files of `write_whole`, whose writers may still be at work.

    Parameters
    ----------
    candidates : iterable of Path

    Yields
    ------
    leftover, written : Path
        Of those that have such a name, with the file that was to be written.
    """
    for path in candidates:
        if found := TEMPORARY.fullmatch(path.name):
            yield path, path.with_name(found[1])


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say in an error of the file system what could not be written, and what to do."""
    try:
        yield
    except OSError as error:
        raise type(error)(
            error.errno,
            f"{error.strerror}: this file cannot be written. What was finished stays "
            "good: make room, or choose a directory that you may write to, and run the "
            "same again",
            str(path),
        ) from error


@contextmanager
def exclusive_lock(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Keep other processes and threads out; one that is killed is out, too.

    Parameters
    ----------
    path : Path
        Of the lock, which is there only while it is held; its directory is made.
    wait : bool
        Whether to wait for others.

    Yields
    ------
    bool
        Whether the others are out, which they are if this waits.
    """
    with ExitStack() as stack:
        while True:
            with explained(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(path.open("ab"))
            if not _lock(file.fileno(), wait=wait):
                yield False
                return
            # Whoever held it may have removed it meanwhile, and another hold a new one.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    break
        try:
            yield True
        finally:
            with suppress(OSError):
                path.unlink()


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, *, wait: bool) -> bool:
        """Lock an open file until it is closed; say whether that was possible."""
        while True:
            with suppress(OSError):
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                return True
            if not wait:
                return False
            time.sleep(0.05)

else:
    import fcntl

    def _lock(descriptor: int, *, wait: bool) -> bool:
        """Lock an open file until it is closed; say whether that was possible."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True
