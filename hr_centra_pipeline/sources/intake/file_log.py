"""The log of files: which are known, by which profiles they were read, and what was said of them, once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hr_centra_pipeline.sources.intake import rejected
from hr_centra_pipeline.sources.intake.arrivals import UNREAD, Refusal
from hr_centra_pipeline.sources.intake.places import Listed
from hr_centra_pipeline.sources.intake.rejected import kept_text
from hr_centra_pipeline.warehouse.database import Connection

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fingerprint:
    """Hashes of profiles: of all that they say, and of that part of it that only the file itself can answer."""

    whole: str
    reading: str


@dataclass(frozen=True)
class LogTable:
    """A table with one row per file and reading of it.

    Each has ``source_file, file_sha256, byte_size, modified_at, rows_read, rows_landed, rows_rejected, problem, batch,
    received_at``. ``whole`` and ``reading``: its columns with the profiles' fingerprints.

    ``what``: such a file, in messages. ``kind``: what a refused file has as kind in quarantine. ``of_listed``: columns that follow
    from how a file is listed. ``empty_is_good``: a reading that brought no row is for good. ``keeps_time_of_unread``: the time of
    a file that could not be read, too.
    """

    name: str
    whole: str
    reading: str
    what: str
    kind: str | None = None
    of_listed: Callable[[Listed], Mapping[str, Any]] = lambda _: {}
    empty_is_good: bool = False
    keeps_time_of_unread: bool = True


@dataclass(frozen=True)
class _Noted:
    """What an earlier run has noted of a file. ``is_good``: no other profile would say anything else of it."""

    sha256: str
    problem: str | None
    is_good: bool
    are_same_profiles: bool


class FileLog:
    """What earlier runs have noted of files, and the notes of this one."""

    def __init__(self, connection: Connection, table: LogTable, present: Fingerprint) -> None:
        self._table, self._present = table, present
        # of files that an earlier version landed
        connection.execute(
            f"update {table.name} set {table.reading} = ? where {table.reading} is null",  # noqa: S608 - our own names
            [present.reading],
        )
        as_before = f"{table.reading} = $reading"
        if table.empty_is_good:
            as_before = f"(rows_read = 0 or {as_before})"
        rows = connection.execute(
            f"""
            select
                source_file, byte_size, modified_at, file_sha256, problem,
                -- what is read of it is still where it was
                problem is null and rows_rejected = 0 and {as_before}, {table.whole} is not distinct from $whole
            from {table.name} order by batch
            """,  # noqa: S608 - our own names
            {"reading": present.reading, "whole": present.whole},
        ).fetchall()
        self._noted = {
            (name, size, modified): _Noted(sha256, problem, is_good, are_same)
            for name, size, modified, sha256, problem, is_good, are_same in rows
        }

    def new(self, listed: Iterable[Listed]) -> list[Listed]:
        """Files that were not looked at, that could not be read, that were refused, in part or whole, by other profiles, or that
        are read otherwise by the present ones.
        """
        return [file for file in listed if not self._is_known(file)]

    def was_seen(self, file: Listed) -> bool:
        """By name, size and time."""
        return self._of(file) is not None

    def is_still_unread(self, one: Refusal) -> bool:
        """It could not be read before, and cannot now."""
        noted = self._of(one.listed, is_read=False)
        return not one.was_fetched and one.sha256 == UNREAD and noted is not None and noted.sha256 == UNREAD

    def refuse(self, connection: Connection, refused: Mapping[int, Refusal], now: datetime) -> int:
        """Name files that are of no use as a whole: in a line of the log, a row of the table and one in quarantine; once, however
        often they are read again. ``refused``: by batch. Answers how many were news.
        """
        news = {batch: one for batch, one in refused.items() if not self._is_as_before(one)}
        for one in refused.values():
            if self._is_as_before(one):
                self._note_again(connection, one)
        for one in news.values():
            _LOG.warning("%s %s is refused: %s", self._table.what, one.listed.name, kept_text(one.problem))
        self.keep(
            connection,
            [
                self.row(one.listed, one.sha256, batch, problem=kept_text(one.problem), **one.more)
                for batch, one in news.items()
            ],
            now,
        )
        for batch, one in news.items():
            # What was wrong with it by other profiles is not what is wrong with it now.
            rejected.forget(connection, one.listed.name, one.sha256, whole_file_only=True)
            why: list[rejected.Rejected] = [(None, None, one.problem, None, None)]
            rejected.set_aside(connection, one.listed.name, self._table.kind, one.sha256, why, batch, now)
        return len(news)

    def row(
        self,
        listed: Listed,
        sha256: str,
        batch: int,
        counts: tuple[int, int, int] = (0, 0, 0),
        problem: str | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """A row of the table, by column. ``counts``: rows that were read, landed, rejected."""
        read, landed, bad = counts
        return {
            "source_file": listed.name, "file_sha256": sha256, "byte_size": listed.size,
            "modified_at": self._time(listed, is_read=sha256 != UNREAD), "rows_read": read, "rows_landed": landed,
            "rows_rejected": bad, "problem": problem, "batch": batch, **self._table.of_listed(listed), **more,
        }  # fmt: skip

    def keep(self, connection: Connection, rows: Sequence[Mapping[str, Any]], now: datetime) -> None:
        """Append rows of the same columns, read by the present profiles, in one statement."""
        if not rows:
            return
        names = list(rows[0])
        connection.execute(
            f"""
            insert into {self._table.name}
                ({", ".join(names)}, received_at, {self._table.whole}, {self._table.reading})
            select {", ".join(f"unnest(${name})" for name in names)}, $now, $whole, $reading
            """,
            {
                **{name: [row[name] for row in rows] for name in names},
                "now": now, "whole": self._present.whole, "reading": self._present.reading,
            },
        )  # fmt: skip

    def _is_known(self, file: Listed) -> bool:
        noted = self._of(file)
        return noted is not None and noted.sha256 != UNREAD and (noted.is_good or noted.are_same_profiles)

    def _is_as_before(self, one: Refusal) -> bool:
        """Nothing new to say of it: other profiles say the same of the same bytes, or it is still unread."""
        noted = self._of(one.listed, is_read=one.sha256 != UNREAD)
        return self.is_still_unread(one) or (
            noted is not None and (noted.sha256, noted.problem) == (one.sha256, kept_text(one.problem))
        )

    def _note_again(self, connection: Connection, one: Refusal) -> None:
        """The present profiles refuse a file as others did: it need not be opened again."""
        connection.execute(
            f"""
            update {self._table.name} set {self._table.whole} = ?, {self._table.reading} = ?
            where source_file = ? and byte_size = ? and modified_at is not distinct from ? and file_sha256 = ?
            """,  # noqa: S608 - our own names
            [
                self._present.whole, self._present.reading, one.listed.name, one.listed.size,
                self._time(one.listed, is_read=one.sha256 != UNREAD), one.sha256,
            ],
        )  # fmt: skip

    def _of(self, file: Listed, *, is_read: bool = True) -> _Noted | None:
        return self._noted.get((file.name, file.size, self._time(file, is_read=is_read)))

    def _time(self, file: Listed, *, is_read: bool) -> datetime | None:
        return file.modified_at if is_read or self._table.keeps_time_of_unread else None
