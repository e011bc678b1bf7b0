"""The sandbox's clock: one file that holds an instant, moved forward by hand."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path


class SandboxClock:
    """The instant in a file (ISO 8601, UTC); every time in the sandbox's data comes from it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._moves = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """It does not move meanwhile: who signs with a time and who checks it read the same clock."""
        with self._moves:
            yield

    def now(self) -> datetime:
        """The present instant of the sandbox, read again."""
        return datetime.fromisoformat(self.path.read_text(encoding="utf-8").strip()).astimezone(UTC)

    def advance_to(self, instant: datetime) -> None:
        """Set the clock; the file is replaced in one step, so that no reader sees half of it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.write_text(instant.astimezone(UTC).isoformat(timespec="seconds"), encoding="utf-8")
        with self._moves:
            os.replace(fresh, self.path)  # noqa: PTH105 - the atomic rename is the point
