"""A safe place to make a model in: one process at a time, cleaned up whatever happens."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import filelock
from rich.filesize import decimal

from lsp.errors import MidlineError
from lsp.models.progress import DownloadProgress, Report
from lsp.paths import models_dir, private_dir

_LOCK = ".lock"
_TEMPORARY = ".tmp"
_SPARE_BYTES = 64 << 20  # what the rest of the machine may need meanwhile


class _Stopped(BaseException):
    """A signal asked this process to end."""


@contextmanager
def workspace(what: str, again: str, report: Report) -> Iterator[Path]:
    """Hold the lock of the models folder and yield an empty folder in it, which is gone afterwards.

    While another process holds the lock, says so through ``report`` and waits. Leftovers of a process that
    was killed are removed. Ctrl-C, SIGTERM and SIGHUP end the body as an error does.

    Args:
        what: what is done in there, for messages ("the download of NAME").
        again: the command that would do it again.
        report: gets told when there is something to wait for.

    Raises:
        MidlineError: the folder can't be written, or a signal ended the work; nothing half-made was left.
    """
    folder = private_dir(models_dir())
    try:
        with _signals_stop(), _locked(folder, report):
            temporary = folder / _TEMPORARY
            # The lock is ours: whatever lies there belongs to a process that was killed.
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(mode=0o700)
            try:
                yield temporary
            finally:
                # What can't be removed now is removed by the next one who comes here.
                shutil.rmtree(temporary, ignore_errors=True)
    except _Stopped as stopped:
        raise MidlineError(
            f"Interrupted ({stopped}): {what} was stopped and nothing half-made was left.",
            f"To do it again: {again}.",
        ) from None
    except OSError as error:
        where = error.filename or folder
        raise MidlineError(
            f"Can't finish {what}: {where}: {error.strerror or error}; nothing half-made was left.",
            f"Make room or permissions right in {folder}, or set MIDLINE_HOME to a folder on another disk.",
        ) from error


def require_space(folder: Path, needed: int, what: str) -> None:
    """Check that the disk of ``folder`` has ``needed`` bytes and some spare for ``what``.

    Raises:
        MidlineError: it hasn't.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE_BYTES:
        raise MidlineError(
            f"Not enough disk space for {what}: it needs {decimal(needed + _SPARE_BYTES)}"
            f" in {folder}, and {decimal(free)} are free.",
            "Make room there, or set MIDLINE_HOME to a folder on another disk.",
        )


@contextmanager
def _locked(folder: Path, report: Report) -> Iterator[None]:
    lock = filelock.FileLock(folder / _LOCK, mode=0o600)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        report(DownloadProgress("wait", 0, 0))
        lock.acquire(poll_interval=0.2)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _signals_stop() -> Iterator[None]:
    """Have the signals that end a process raise ``_Stopped`` instead, once; main thread only, else a no-op."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopped = False

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal stopped
        if not stopped:  # a second signal must not interrupt the cleaning up
            stopped = True
            raise _Stopped(signal.Signals(number).name)

    previous = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # What is ignored stays so (nohup).
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                previous[number] = signal.signal(number, stop)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
