"""What is set aside of a file, in quarantine: rows, and files as a whole (a row without a line)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.made import makes

_PART = r"[^\s@,;|\"'<>]"
_EMAIL = re.compile(f"(?<!{_PART}){_PART}+@{_PART}+")  # from the start of a token on: a long one is read once
_MOST_CHARACTERS_KEPT = 4_000

Rejected = tuple[int | None, str | None, str, str | None, str | None]
"""Line, column, reason, raw text, and the word that is on no list."""


def without_addresses(text: str) -> str:
    """A text with its e-mail addresses blotted out."""
    return _EMAIL.sub("…@…", text)


def kept_text(text: str) -> str:
    """A text as it may be kept: without addresses, and of bounded length."""
    text = without_addresses(text)
    return text if len(text) <= _MOST_CHARACTERS_KEPT else f"{text[:_MOST_CHARACTERS_KEPT]}… ({len(text):,} characters)"


@makes(
    "quarantine.rejected_rows",
    "One row per rejected row of an export file (without a line: the whole file), with its reason.",
    kind="source",
)
def set_aside(
    connection: Connection,
    source_file: str,
    kind: str | None,
    sha256: str,
    rows: Sequence[Rejected],
    batch: int,
    now: datetime,
) -> None:
    """Keep rejected rows of a file, e-mail addresses in them blotted out.

    In one statement: one each would keep a block of the database in memory each.
    """
    if not rows:
        return
    connection.execute(
        """
        insert into quarantine.rejected_rows (
            source_file, source_line, kind, column_name, reason, raw_text, word, file_sha256, batch, rejected_at
        )
        select
            $source_file, unnest($lines::bigint[]), $kind, unnest($columns::varchar[]), unnest($reasons::varchar[]),
            unnest($texts::varchar[]), unnest($words::varchar[]), $sha256, $batch, $now
        """,
        {
            "source_file": source_file, "kind": kind, "sha256": sha256, "batch": batch, "now": now,
            "lines": [row[0] for row in rows], "columns": [row[1] for row in rows],
            "reasons": [kept_text(row[2]) for row in rows],
            "texts": [None if row[3] is None else kept_text(row[3]) for row in rows],
            "words": [None if row[4] is None else kept_text(row[4]) for row in rows],
        },
    )  # fmt: skip


def forget(connection: Connection, source_file: str, sha256: str, *, whole_file_only: bool = False) -> None:
    """Take back what was set aside of a file that is read again; ``whole_file_only``: why it was refused, not its rows."""
    more = " and source_line is null" if whole_file_only else ""
    connection.execute(
        f"delete from quarantine.rejected_rows where source_file = ? and file_sha256 = ?{more}",  # noqa: S608 - our own words
        [source_file, sha256],
    )
