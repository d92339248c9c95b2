"""Limits that end what hangs, and never what is merely slow on a loaded machine."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

# A quarter of an hour: no test takes a tenth of it on a machine that is busy.
SECONDS = 900.0


@contextmanager
def ended(*processes: subprocess.Popen[str] | BaseProcess) -> Iterator[None]:
    """Kill the processes at the end, whatever happened, and wait for each."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            if isinstance(process, subprocess.Popen):
                process.__exit__(None, None, None)  # closes its pipes, too
            else:
                process.join()


def finished(*threads: threading.Thread) -> None:
    """Wait for threads; an error if one hangs."""
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive(), "a thread hangs"


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; an error if it never does."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "nothing happens any more"
        time.sleep(0.01)
