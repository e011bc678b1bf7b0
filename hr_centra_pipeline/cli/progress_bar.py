"""What the terminal shows while a job runs: one line that changes, and warnings that stay."""

from __future__ import annotations

import logging
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

    def emit(self, record: logging.LogRecord) -> None:
        """Progress replaces the line; a warning is printed above it."""
        if record.levelno >= logging.WARNING:
            self.status.console.print(record.getMessage(), style="yellow", soft_wrap=True)
        else:
            self.status.update(Text(plain(record.getMessage())))


@contextmanager
def progress(what: str) -> Iterator[Status]:
    """A status line on stderr that follows our loggers until the block ends.

    Stderr, so that what a command prints can be piped without it.
    """
    before = _OURS.level, _OURS.propagate
    with DataConsole(stderr=True).status(Text(what)) as status:
        handler = _Line(status)
        _OURS.addHandler(handler)
        _OURS.setLevel(logging.INFO)
        _OURS.propagate = False
        try:
            yield status
        finally:
            _OURS.removeHandler(handler)
            _OURS.setLevel(before[0])
            _OURS.propagate = before[1]
