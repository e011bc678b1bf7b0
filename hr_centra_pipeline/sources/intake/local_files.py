"""Files on this machine: listed by their endings, read within bounds, named as every reader can take it."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

from hr_centra_pipeline.sources.intake import bounds


def in_folder(folder: Path, endings: Collection[str]) -> list[Path]:
    """The files of a folder that end so, in the order of their names; without hidden ones and the locks of open workbooks."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in endings and not path.name.startswith(("~$", "."))
    )


def regular_file(path: str | Path, most_bytes: int | None = None) -> bytes:
    """A file's bytes, at most one more than ``most_bytes`` (without it, than any file may have).

    A pipe, which would keep us waiting for ever, is none.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    most = bounds.MOST_BYTES_OF_A_FILE if most_bytes is None else most_bytes
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("it is a folder, pipe, socket or device and not a regular file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(most + 1)
    finally:
        os.close(handle)


def shown(text: str) -> str:
    """A text as every reader can take it: bytes that are not UTF-8 as escapes, line ends and control characters, too."""
    readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    readable = readable.encode("utf-8", "backslashreplace").decode()
    return "".join(
        one if one.isprintable() or one == "\xa0" else one.encode("unicode_escape").decode() for one in readable
    )
