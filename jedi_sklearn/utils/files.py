"""Atomic writes of files, and locks between processes."""

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

# Name of a temporary file; the group is the name of the file to write.
TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{32}\.tmp")


def write_whole(path: Path, parts: Iterable[Any]) -> None:
    """Write a file atomically: it is there as a whole or not at all.

    Parameters
    ----------
    path : Path
    parts : iterable of bytes-like

    Raises
    ------
    OSError
        If it cannot be written; the message names the file and says what to do.
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
            # Else a power failure could undo the renaming. Not every file system can.
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
        Temporary file, and the file that it was to become.
    """
    for path in candidates:
        if found := TEMPORARY.fullmatch(path.name):
            yield path, path.with_name(found[1])


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Name the file that cannot be written in an OSError, and say what to do."""
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
    """Hold a lock against other processes and threads; it ends with its holder.

    Parameters
    ----------
    path : Path
        Lock file, which exists only while the lock is held; its directory is made.
    wait : bool
        Whether to wait until the lock is free.

    Yields
    ------
    bool
        Whether the lock is held, which is always so after waiting.
    """
    with ExitStack() as stack:
        while True:
            with explained(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(path.open("ab"))
            if not _lock(file.fileno(), wait=wait):
                yield False
                return
            # The last holder may have removed the file, and another locked a new one.
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
