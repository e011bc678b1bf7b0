"""Files that people dropped into one of our folders, moved to a folder below it once they were looked at."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from hr_centra_pipeline.sources.intake.local_files import shown

_LONGEST_KEPT = 150  # bytes of a name: with our time, a number and ``.txt`` it must stay below 255


def put_aside(path: Path, where: str, said: Sequence[str], now: datetime) -> None:
    """Move a file to a folder beside it, under a name that every system can take, with a text beside it of what came of it.

    Raises:
        OSError: it cannot be moved.
    """
    kept = _free(path.parent / where, f"{now:%Y%m%dT%H%M%S}-", path)
    path.replace(kept)
    kept.with_name(f"{kept.name}.txt").write_text("\n".join(said) + "\n", encoding="utf-8")


def _free(folder: Path, time: str, path: Path) -> Path:
    """Where a file is kept: by a name of bounded length that no other file has."""
    folder.mkdir(exist_ok=True)
    stem = shown(path.stem).encode()[:_LONGEST_KEPT].decode(errors="ignore")
    for number in itertools.count(1):
        kept = folder / f"{time}{stem}{f'-{number}' if number > 1 else ''}{path.suffix.lower()}"
        if not os.path.lexists(kept):
            return kept
    raise AssertionError
