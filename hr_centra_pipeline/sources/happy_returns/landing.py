"""One export file into the landing tables: typed, checked and compared inside DuckDB, whole columns at a time."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from hr_centra_pipeline.sources import files
from hr_centra_pipeline.sources.files import BadRow, Content, Cut, Listed
from hr_centra_pipeline.sources.happy_returns import identity, parsing
from hr_centra_pipeline.sources.happy_returns.kinds import KINDS, Kind, KindName
from hr_centra_pipeline.sources.happy_returns.profiles import Profile
from hr_centra_pipeline.warehouse.database import Connection

# DuckDB reads a file in pieces of 16 lines of this size, a thread each: a longer line is for those that are cut by hand.
_MOST_BYTES_OF_A_LINE = 2_000_000
_MOST_BYTES_OF_A_ROW = 100_000_000
_BUFFER_BYTES = 32_000_000
_EMAIL = re.compile(r"[^\s@,;|\"'<>]+@[^\s@,;|\"'<>]+")

Rejected = tuple[int | None, str | None, str, str | None]  # line, column, reason, raw text


@dataclass(frozen=True)
class ExportFile:
    """One new file on its way into landing. ``path``: what DuckDB reads, after ``bad`` rows were set aside."""

    listed: Listed
    content: Content
    path: Path
    headers: tuple[str, ...]
    kind: KindName
    profile: Profile
    unknown_headers: tuple[str, ...] = ()
    bad: list[BadRow] = field(default_factory=list)
    is_cut_by_hand: bool = False  # then the first column is the physical line

    def cut(self, path: Path, cut: Cut) -> ExportFile:
        """The same file as it was cut by hand."""
        return replace(self, path=path, headers=tuple(cut.headers), bad=cut.bad, is_cut_by_hand=True)


@dataclass(frozen=True)
class Counts:
    """Rows of one file: read = landed + rejected + repeated."""

    read: int = 0
    landed: int = 0
    rejected: int = 0
    repeated: int = 0
    conflicting: int = 0


def is_landed(connection: Connection, sha256: str) -> bool:
    """These bytes were landed before, whatever their name was."""
    row = connection.execute(
        "select exists (from landing.files where file_sha256 = ? and problem is null)", [sha256]
    ).fetchone()
    return bool(row and row[0])


def note_repeated(connection: Connection, file: ExportFile, now: datetime) -> Counts:
    """The same bytes under another name: noted, so that they are not read again, and nothing else."""
    batch = _next_batch(connection)
    _keep_file(connection, file.listed, file.content.sha256, batch, now, kind=file.kind, profile=file.profile.name)
    return Counts()


def note_refused(connection: Connection, listed: Listed, sha256: str, problem: str, now: datetime) -> Counts:
    """A file that is of no use as a whole: one row in quarantine without a line."""
    batch, problem = _next_batch(connection), without_addresses(problem)
    _keep_file(connection, listed, sha256, batch, now, problem=problem)
    _quarantine(connection, listed.name, None, sha256, [(None, None, problem, None)], batch, now)
    return Counts()


def without_addresses(text: str) -> str:
    """A text with its e-mail addresses blotted out."""
    return _EMAIL.sub("…@…", text)


# ---------------------------------------------------------------- rows


def read(connection: Connection, file: ExportFile) -> bool:
    """Read a file into ``checked``: one row per row, typed, with its problem (column and reason) or null, and its hash.

    All in one pass, since writing a wide table costs more than all that is computed here. Answers whether each row is
    one line of the file; else the lines are wrong, and it is to be cut by hand.
    """
    kind = KINDS[file.kind]
    texts = parsing.texts(kind, file.profile, list(file.headers))
    typed = parsing.typed(kind, file.profile)
    names = (["line"] if file.is_cut_by_hand else []) + [f"h{number}" for number in range(len(file.headers))]
    headers = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    more = ["line::bigint as cut_line"] if file.is_cut_by_hand else []
    kept = ["cut_line"] if file.is_cut_by_hand else []
    if kind.name == "items":
        more.append("t_base_line_item_id as base_line_item_id")
        kept.append("base_line_item_id")
    if kind.name == "returns":
        more.append(f"substr(sha256('{_key(connection)}' || lower(t_customer_email)), 1, 24) as customer_token")
        kept += ["customer_token", "t_customer_email"]
    # What was cut by hand has each row on a line of its own, of any length; what DuckDB sets aside for lines follows from that.
    most_bytes = _MOST_BYTES_OF_A_LINE
    if file.is_cut_by_hand:
        most_bytes = min(_MOST_BYTES_OF_A_ROW, max(file.path.stat().st_size, most_bytes))
    connection.execute(parsing.MACROS)
    connection.execute("set preserve_insertion_order = true")  # rows are numbered by it; wide tables are written faster
    connection.execute(
        f"""
        create or replace temp table checked as
        with told as (
            select {", ".join([*(["line"] if file.is_cut_by_hand else []), *(f"{sql} as t_{name}" for name, sql in texts.items())])}
            from read_csv(
                $path, delim = $delimiter, quote = '"', escape = '"', header = true, auto_detect = false,
                columns = {{{headers}}}, nullstr = '', max_line_size = $most_bytes,
                buffer_size = $buffer_bytes
            )
        ),

        typed as (
            select *, {", ".join([*(f"{sql} as {name}" for name, sql in typed.items()), *more])} from told
        )

        select
            {", ".join([*kind.brought, *kept])},
            coalesce(updated_at, $file_time) as source_time,
            {parsing.problem(kind)} as problem,
            {parsing.row_hash(kind)} as row_sha256
        from typed
        """,  # noqa: S608 - our own names
        {
            "path": str(file.path), "file_time": file.listed.source_time[0],
            "delimiter": "," if file.is_cut_by_hand else file.profile.delimiter,
            "most_bytes": most_bytes, "buffer_bytes": max(_BUFFER_BYTES, 2 * most_bytes),
        },
    )  # fmt: skip
    count, first = connection.execute("select count(*), min(rowid) from checked").fetchone() or (0, 0)
    line = "cut_line" if file.is_cut_by_hand else f"rowid - {first or 0} + 2"
    connection.execute(f"create or replace temp view lines as select {line} as source_line, * from checked")  # noqa: S608
    return file.is_cut_by_hand or count == file.content.data.count(b"\n") - 1


def land(connection: Connection, file: ExportFile, now: datetime) -> Counts:
    """Compare what ``checked`` holds with what is landed, and insert what is new."""
    kind, batch = KINDS[file.kind], _next_batch(connection)
    identity.identify(connection, kind)
    if kind.name == "returns":
        _refuse_other_retailers(connection, now)
    _compare(connection, kind)
    columns = ", ".join(kind.landed)
    known = {"items": ["unit_offset", "return_item_id"], "shipments": ["return_item_id"]}.get(kind.name, [])
    selected = ", ".join(f"{'identified' if name in known else 'lines'}.{name}" for name in kind.landed)
    connection.execute(
        f"""
        insert into landing.happy_returns_{kind.name}
            ({columns}, profile, row_sha256, source_time, source_file, source_line, landed_at, batch)
        select {selected}, $profile, lines.row_sha256, lines.source_time, $source_file, source_line, $now, $batch
        from lines
        join (from identified semi join new_lines using (source_line)) as identified using (source_line)
        """,  # noqa: S608 - our own names
        {"profile": file.profile.name, "source_file": file.listed.name, "now": now, "batch": batch},
    )
    if kind.name == "returns":
        _keep_personal(connection, now)
    return _account(connection, kind, file, batch, now)


def _refuse_other_retailers(connection: Connection, now: datetime) -> None:
    """Returns of another retailer than those that this database is about are rejected; the first that is landed is the one."""
    known = connection.execute(
        "select distinct value from meta.belongs_to where name = 'retailer' order by all"
    ).fetchall()
    if not known:
        known = connection.execute(
            "select retailer_id from lines where problem is null and retailer_id is not null order by source_line limit 1"
        ).fetchall()
        connection.execute(
            "insert into meta.belongs_to select 'retailer', unnest($names::varchar[]), $now, null, null, null",
            {"names": [name for (name,) in known], "now": now},
        )
    connection.execute(
        """
        update identified set problem = {
            'column_name': 'retailer_id',
            'reason': 'is of another retailer than this database (' || array_to_string($names::varchar[], ', ') || '): '
                || lines.retailer_id || '. Give it a home of its own, or: hr-centra rebind --retailer ' || lines.retailer_id
        }
        from lines
        where lines.source_line = identified.source_line and identified.problem is null
            and lines.retailer_id is not null and not list_contains($names::varchar[], lines.retailer_id)
        """,
        {"names": [name for (name,) in known]},
    )


def _key(connection: Connection) -> str:
    """The key of this database's tokens, made at random once."""
    row = connection.execute("select value from meta.keys where name = 'personal'").fetchone()
    if row:
        return str(row[0])
    key = secrets.token_hex(16)
    connection.execute("insert into meta.keys values ('personal', ?)", [key])
    return key


def _compare(connection: Connection, kind: Kind) -> None:
    """``new_lines``: good rows that differ from the latest landed row of their business key, in this file, too.

    ``is_known``: there is such an earlier row.
    """
    key = ", ".join(kind.key)
    connection.execute(
        f"""
        create or replace temp table new_lines as
        with
        -- One row per good row, with the one before it of the same key in this file.
        good as (
            select {key}, source_line, row_sha256, lag(row_sha256) over (partition by {key} order by source_line) as before
            from identified where problem is null
        ),

        -- One row per key of this file that was landed before: its latest row.
        latest as (
            select {key}, arg_max(row_sha256, (batch, source_line)) as row_sha256
            from landing.happy_returns_{kind.name}
            semi join good using ({key})
            group by {key}
        )

        select good.source_line, coalesce(good.before, latest.row_sha256) is not null as is_known
        from good
        left join latest using ({key})
        where good.row_sha256 is distinct from coalesce(good.before, latest.row_sha256)
        """  # noqa: S608 - our own names
    )


def _keep_personal(connection: Connection, now: datetime) -> None:
    connection.execute(
        """
        insert into landing.personal (token, source, field, value, received_at)
        select distinct on (customer_token) customer_token, 'happy_returns', 'customer_email', t_customer_email, $now
        from lines semi join new_lines using (source_line)
        where customer_token is not null and customer_token not in (select token from landing.personal)
        """,
        {"now": now},
    )


# ---------------------------------------------------------------- accounts


def _account(connection: Connection, kind: Kind, file: ExportFile, batch: int, now: datetime) -> Counts:
    """Control totals of a file, and what was rejected of it."""
    counted = connection.execute(
        """
        select count(*), count(*) filter (where problem is not null), (select count(*) from new_lines) from identified
        """
    ).fetchone()
    good, refused, landed = counted or (0, 0, 0)
    first, last = connection.execute(
        "select min(source_time), max(source_time) from identified semi join new_lines using (source_line)"
    ).fetchone() or (None, None)
    wrong = connection.execute(
        "select source_line, problem.column_name, problem.reason from identified where problem is not null"
    ).fetchall()
    raw = dict(files.raw_rows(file.content, file.profile.delimiter, {line for line, _, _ in wrong})) if wrong else {}
    rejected: list[Rejected] = [(line, column, why, raw.get(line)) for line, column, why in wrong]
    rejected += [(bad.line, None, bad.reason, bad.text) for bad in file.bad]
    rejected.sort(key=lambda row: row[0] or 0)
    _quarantine(connection, file.listed.name, kind.name, file.content.sha256, rejected, batch, now)
    counts = Counts(
        read=good + len(file.bad),
        landed=landed,
        rejected=refused + len(file.bad),
        repeated=good - refused - landed,
        conflicting=_conflicting(connection, kind, batch),
    )
    _keep_file(
        connection, file.listed, file.content.sha256, batch, now, kind=kind.name, profile=file.profile.name,
        counts=counts, times=(first, last), unknown_headers=file.unknown_headers,
    )  # fmt: skip
    return counts


def _conflicting(connection: Connection, kind: Kind, batch: int) -> int:
    """Landed rows of a batch that contradict an earlier one of the same key and source time; the later one holds."""
    key = ", ".join([*kind.key, "source_time"])
    row = connection.execute(
        f"""
        with
        -- One row per key and source time that the batch tells again.
        again as (
            select distinct {key} from identified semi join (from new_lines where is_known) as known using (source_line)
        ),

        -- One row per key and source time of these that was told in several ways.
        contradicted as (
            select {key}
            from landing.happy_returns_{kind.name}
            semi join again using ({key})
            group by {key}
            having min(row_sha256) <> max(row_sha256)
        ),

        told as (
            select batch, row_sha256 <> min(row_sha256) over earlier or row_sha256 <> max(row_sha256) over earlier as differs
            from landing.happy_returns_{kind.name}
            semi join contradicted using ({key})
            window earlier as (
                partition by {key} order by batch, source_line rows between unbounded preceding and 1 preceding
            )
        )

        select count(*) from told where batch = $batch and differs
        """,  # noqa: S608 - our own names
        {"batch": batch},
    ).fetchone()
    return int(row[0]) if row else 0


def _keep_file(
    connection: Connection,
    listed: Listed,
    sha256: str,
    batch: int,
    now: datetime,
    *,
    kind: str | None = None,
    profile: str | None = None,
    counts: Counts | None = None,
    times: tuple[datetime | None, datetime | None] = (None, None),
    problem: str | None = None,
    unknown_headers: Sequence[str] = (),
) -> None:
    source_time, source_time_from = listed.source_time
    counts = counts or Counts()
    connection.execute(
        """
        insert into landing.files (
            source_file, file_sha256, kind, profile, byte_size, source_time, source_time_from, modified_at, rows_read,
            rows_landed, rows_rejected, rows_repeated, rows_conflicting, first_source_time, last_source_time, problem,
            batch, received_at, unknown_headers
        )
        values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        [
            listed.name, sha256, kind, profile, listed.size, source_time, source_time_from, listed.modified_at,
            counts.read, counts.landed, counts.rejected, counts.repeated, counts.conflicting, *times, problem, batch, now,
            list(unknown_headers) or None,
        ],
    )  # fmt: skip


def _quarantine(
    connection: Connection,
    source_file: str,
    kind: str | None,
    sha256: str,
    rows: Sequence[Rejected],
    batch: int,
    now: datetime,
) -> None:
    """Set rejected rows aside; e-mail addresses in them are blotted out."""
    if not rows:
        return
    connection.execute(
        """
        insert into quarantine.rejected_rows (
            source_file, source_line, kind, column_name, reason, raw_text, file_sha256, batch, rejected_at
        )
        select $source_file, unnest($lines), $kind, unnest($columns), unnest($reasons), unnest($texts), $sha256, $batch, $now
        """,
        {
            "source_file": source_file, "kind": kind, "sha256": sha256, "batch": batch, "now": now,
            "lines": [row[0] for row in rows], "columns": [row[1] for row in rows],
            "reasons": [without_addresses(row[2]) for row in rows],
            "texts": [None if row[3] is None else without_addresses(row[3]) for row in rows],
        },
    )  # fmt: skip


def _next_batch(connection: Connection) -> int:
    row = connection.execute("select nextval('landing.batch_numbers')").fetchone()
    return int(row[0]) if row else 0
