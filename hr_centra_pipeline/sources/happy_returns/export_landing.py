"""One export file into the landing tables: typed, checked and compared inside DuckDB, whole columns at a time."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from hr_centra_pipeline.sources.happy_returns import row_landing
from hr_centra_pipeline.sources.happy_returns.export_kinds import KINDS, Kind, KindName
from hr_centra_pipeline.sources.happy_returns.export_profiles import Profile
from hr_centra_pipeline.sources.happy_returns.row_landing import Account, Counts, Rows, Source
from hr_centra_pipeline.sources.intake import cutting, rejected
from hr_centra_pipeline.sources.intake.contents import Content
from hr_centra_pipeline.sources.intake.cutting import BadRow
from hr_centra_pipeline.sources.intake.file_log import FileLog, LogTable
from hr_centra_pipeline.sources.intake.places import Listed
from hr_centra_pipeline.sources.intake.rejected import Rejected
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.made import makes

_PLAIN = bytes(range(0x20, 0x7F)) + b"\n"
FILES = LogTable(
    "landing.files",
    "profiles_sha256",
    "columns_sha256",
    "export",
    of_listed=lambda listed: {
        "source_time": listed.source_time[0], "source_time_from": listed.source_time[1], "rows_repeated": 0,
    },
    empty_is_good=True,  # of one that repeats another the columns are of no account
)  # fmt: skip


@dataclass(frozen=True)
class ExportFile:
    """One new file on its way into landing. ``is_again``: it was landed before, in part, with another set of profiles."""

    listed: Listed
    content: Content
    headers: tuple[str, ...]
    kind: KindName
    profile: Profile
    unknown_headers: tuple[str, ...] = ()
    batch: int = 0
    is_again: bool = False

    @property
    def shape(self) -> tuple[object, ...]:
        """Files of one shape can be read together."""
        return (self.kind, self.headers, self.profile.name)

    @property
    def is_simple(self) -> bool:
        """The fast reader can do it, as far as its bytes say."""
        return not cutting.is_json(self.content.data) and cutting.is_simple(self.content)


@dataclass
class Group:
    """Files of one shape that are read and landed together, the first one first; ``bad``: (its place, row) that are set aside.

    While they are landed, each row has a number of its own: the physical line plus ``base`` of its file.
    """

    members: Sequence[ExportFile]
    is_cut_by_hand: bool = False
    bases: list[int] = field(default_factory=list)
    bad: list[tuple[int, BadRow]] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        """What they bring."""
        return KINDS[self.members[0].kind]

    @property
    def rows(self) -> Rows:
        """What they bring, for ``row_landing``; once they were written below each other."""
        first = self.members[0]
        sources = [
            Source(file.listed.name, file.batch, file.listed.source_time[0], is_again=file.is_again)
            for file in self.members
        ]
        is_plain = not self.is_cut_by_hand and all(_is_plain(file) for file in self.members)
        return Rows(
            self.kind, first.profile, first.headers, sources, self.bases,
            is_cut_by_hand=self.is_cut_by_hand, is_plain=is_plain,
        )  # fmt: skip


def landed_hashes(connection: Connection) -> set[str]:
    """Of every file that was landed, whatever its name was."""
    rows = connection.execute("select distinct file_sha256 from landing.files where problem is null").fetchall()
    return {sha256 for (sha256,) in rows}


def note_repeated(connection: Connection, log: FileLog, repeated: Sequence[ExportFile], now: datetime) -> None:
    """Record files with the same bytes as an earlier one, so that they are not read again. Lands no rows."""
    log.keep(connection, [_row(log, file, Counts(), (None, None)) for file in repeated], now)


# ---------------------------------------------------------------- rows


def read(connection: Connection, group: Group, scratch: Path, now: datetime) -> bool:
    """Read files into ``checked`` (``row_landing.check``).

    Answers whether each row is one line of its file; else the lines are wrong, and they are to be cut by hand.
    """
    path = scratch / "rows.csv"
    expected = _write_cut(group, path) if group.is_cut_by_hand else _write_together(group, path)
    return row_landing.check(connection, group.rows, path, now) == expected


def _is_plain(file: ExportFile) -> bool:
    """Nothing but characters of ASCII that can be seen."""
    others = file.content.data.translate(None, delete=_PLAIN).replace(file.profile.delimiter.encode(), b"")
    return not others.replace(b"\r", b"")


def _write_together(group: Group, path: Path) -> int:
    """Write files below each other, with one header. Answers how many rows that should be."""
    rows = 0
    with path.open("wb") as target:
        for place, file in enumerate(group.members):
            data = memoryview(file.content.data)
            target.write(data if not place else data[file.content.data.index(b"\n") + 1 :])
            group.bases.append(rows)
            rows += file.content.data.count(b"\n") - 1
    return rows


def _write_cut(group: Group, path: Path) -> int:
    """Cut files row by row, for those that the fast reader cannot do; bad rows are set aside. Answers how many are good."""
    rows = base = 0
    with path.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(["", *group.members[0].headers])
        for place, file in enumerate(group.members):
            last = 1

            def keep(line: int, values: list[str], base: int = base) -> None:
                nonlocal rows, last
                rows, last = rows + 1, line
                writer.writerow([base + line, *values])

            cut = (
                cutting.cut_json(file.content, keep, list(file.headers))
                if cutting.is_json(file.content.data)
                else cutting.cut_csv(file.content, file.profile.delimiter, keep)
            )
            group.bad += [(place, bad) for bad in cut.bad]
            group.bases.append(base)
            base += last + 1
    return rows


def land(connection: Connection, group: Group, log: FileLog, now: datetime) -> list[Counts]:
    """Land what ``checked`` holds (``row_landing.land``). Answers the counts of each file."""
    row_landing.land(connection, group.rows, now)
    return _account(connection, log, group, now)


# ---------------------------------------------------------------- accounts


def _row(
    log: FileLog, file: ExportFile, counts: Counts, times: tuple[datetime | None, datetime | None]
) -> dict[str, object]:
    """A line of the log of files."""
    return log.row(
        file.listed, file.content.sha256, file.batch, (counts.read, counts.landed, counts.rejected),
        kind=file.kind, profile=file.profile.name, rows_repeated=counts.repeated, rows_conflicting=counts.conflicting,
        first_source_time=times[0], last_source_time=times[1], unknown_headers=list(file.unknown_headers) or None,
    )  # fmt: skip


@makes(
    "landing.files",
    "One row per delivery of an export file, with its counts or why it was refused.",
    kind="source",
)
def _account(connection: Connection, log: FileLog, group: Group, now: datetime) -> list[Counts]:
    """Control totals of each file, and what was rejected of it."""
    found = row_landing.accounts(connection)
    wrong = {place: one.wrong for place, one in found.items() if one.wrong}
    for place, bad in group.bad:
        wrong.setdefault(place, []).append((bad.line, "", bad.reason, None))
    texts = {(place, bad.line): bad.text for place, bad in group.bad}
    # A file that is read again with other columns corrects itself.
    conflicting = {} if group.members[0].is_again else row_landing.conflicting(connection, group.kind)
    accounts, notes = [], []
    for place, file in enumerate(group.members):
        one = found.get(place, Account())
        cut = sum(of == place for of, _ in group.bad) if place in wrong else 0
        counts = replace(
            one.counts,
            read=one.counts.read + cut,
            rejected=one.counts.rejected + cut,
            conflicting=conflicting.get(file.batch, 0),
        )
        accounts.append(counts)
        notes.append(_row(log, file, counts, (one.first_at, one.last_at)))
        if file.is_again:
            rejected.forget(connection, file.listed.name, file.content.sha256)
        if place not in wrong:
            continue
        raw = dict(
            cutting.raw_rows(
                file.content, file.profile.delimiter, {line for line, column, *_ in wrong[place] if column != ""}
            )
        )
        set_aside: list[Rejected] = [
            (line, column or None, why, texts.get((place, line), raw.get(line)), word)
            for line, column, why, word in wrong[place]
        ]
        set_aside.sort(key=lambda row: row[0] or 0)
        rejected.set_aside(connection, file.listed.name, file.kind, file.content.sha256, set_aside, file.batch, now)
    log.keep(connection, notes, now)
    return accounts
