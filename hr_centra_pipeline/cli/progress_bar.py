"""What the terminal shows while a job runs: one line that changes, and warnings that stay."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.status import Status
from rich.text import Text

from hr_centra_pipeline.cli.table import DataConsole, plain

_OURS = logging.getLogger("hr_centra_pipeline")


class _Line(logging.Handler):
    def __init__(self, status: Status) -> None:
        super().__init__(logging.INFO)
        self.status = status
        self.step = ""
        self.began = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        """Progress replaces the line; a warning is printed above it. Where no line can change, each step has one of its own."""
        console, text = self.status.console, plain(record.getMessage())
        if record.levelno >= logging.WARNING:
            console.print(record.getMessage(), style="yellow", soft_wrap=True)
            return
        is_step = getattr(record, "is_step", False)
        if is_step:
            self.step = text
        shown = text if is_step or not self.step else f"{self.step}: {text}"
        elapsed = f"{time.monotonic() - self.began:.0f} s"
        if console.is_terminal:
            self.status.update(Text(f"{shown} ({elapsed})", overflow="ellipsis", no_wrap=True))
        elif is_step:
            console.print(f"{shown} ({elapsed})", soft_wrap=True)


class Progress:
    """What is being done, on one line that changes; piped, on a line of its own each time."""

    def __init__(self, status: Status, what: str) -> None:
        self._status = status
        self._piped(what)

    def update(self, what: str) -> None:
        """Something else begins."""
        self._status.update(Text(what))
        self._piped(what)

    def _piped(self, what: str) -> None:
        if not self._status.console.is_terminal:
            self._status.console.print(what, soft_wrap=True)


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """A status line on stderr that follows our loggers until the block ends; piped, a plain line for each step of a run.

    Stderr, so that what a command prints can be piped without it.
    """
    before = _OURS.level, _OURS.propagate
    with DataConsole(stderr=True).status(Text(what)) as status:
        shown, handler = Progress(status, what), _Line(status)
        _OURS.addHandler(handler)
        _OURS.setLevel(logging.INFO)
        _OURS.propagate = False
        try:
            yield shown
        finally:
            _OURS.removeHandler(handler)
            _OURS.setLevel(before[0])
            _OURS.propagate = before[1]
