"""Landing of export files: every row is landed, repeated or rejected with a reason; the same file twice changes nothing."""

from __future__ import annotations

import logging
import re
import secrets
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import duckdb

from hr_centra_pipeline.sources.happy_returns import files, parsing
from hr_centra_pipeline.sources.happy_returns.files import BadRow, Content, Exports, Listed
from hr_centra_pipeline.sources.happy_returns.kinds import KINDS, Kind, KindName
from hr_centra_pipeline.sources.happy_returns.profiles import Profile, recognise
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

_LOG = logging.getLogger(__name__)
_EMAIL = re.compile(r"[^\s@,;\"'<>]+@[^\s@,;\"'<>]+")
_Rejected = tuple[int | None, str | None, str, str | None]  # line (null: the whole file), column, reason, raw text


@dataclass(frozen=True)
class IngestReport:
    """Counts of one ingest. ``files``: looked at for the first time; ``refused_files``: of these, refused as a whole."""

    files: int = 0
    refused_files: int = 0
    rows_read: int = 0
    rows_landed: int = 0
    rows_rejected: int = 0
    rows_repeated: int = 0

    def plus(self, other: IngestReport) -> IngestReport:
        """The sum of two reports."""
        return IngestReport(**{name: value + getattr(other, name) for name, value in vars(self).items()})


@dataclass
class _File:
    """One new file on its way into landing."""

    listed: Listed
    content: Content
    path: Path
    headers: list[str]
    kind: KindName
    profile: Profile
    bad: list[BadRow] = field(default_factory=list)
    has_lines: bool = False  # the first column is the physical line
    batch: int = 0

    @property
    def shape(self) -> tuple[object, ...]:
        """Files of one shape are read in one go."""
        return (self.kind, self.profile.name, tuple(self.headers), self.has_lines)


def ingest(warehouse: Warehouse, exports_url: str, profiles: Sequence[Profile], now: datetime) -> IngestReport:
    """Land all new files of a folder or fsspec address.

    A file is new by its name, size and time, its content by its SHA-256. What cannot be read is refused as a whole; the
    others go on. Files of one shape are landed in one transaction, and file by file should that fail.

    Raises:
        RunFailed: the place cannot be read.
        ConfigurationError: the address is none.
    """
    exports = Exports(exports_url)
    with warehouse.transaction() as connection:
        known = set(connection.execute("select source_file, byte_size, modified_at from landing.files").fetchall())
        seen = dict(connection.execute("select file_sha256, kind from landing.files where problem is null").fetchall())
    new = [file for file in exports.listed() if (file.name, file.size, file.modified_at) not in known]
    report = IngestReport()
    with tempfile.TemporaryDirectory() as scratch:
        groups: dict[tuple[object, ...], list[_File]] = defaultdict(list)
        for number, listed in enumerate(new):
            found = _opened(exports, listed, profiles, Path(scratch) / str(number))
            if isinstance(found, _Refused):
                report = report.plus(_refuse(warehouse, found, now))
            elif found.content.sha256 in seen:
                report = report.plus(_note_repeated(warehouse, found, now))
            else:
                seen[found.content.sha256] = found.kind
                groups[found.shape].append(found)
        order = list(KINDS)
        for _, group in sorted(groups.items(), key=lambda one: order.index(one[1][0].kind)):
            report = report.plus(_land_group(warehouse, group, now))
    return report


@dataclass(frozen=True)
class _Refused:
    listed: Listed
    sha256: str
    problem: str


def _opened(exports: Exports, listed: Listed, profiles: Sequence[Profile], scratch: Path) -> _File | _Refused:
    """Read a file and recognise its header."""
    try:
        content = files.opened(exports.content(listed), listed.name)
    except OSError as error:
        return _Refused(listed, "", f"cannot be read: {error}")
    if content.problem:
        return _Refused(listed, content.sha256, content.problem)
    is_json = files.is_json(content.data)
    answers = []
    for delimiter in dict.fromkeys(profile.delimiter for profile in profiles):
        try:
            headers = files.json_header(content.data) if is_json else files.header_of(content.data, delimiter)
        except UnicodeDecodeError:
            return _Refused(listed, content.sha256, "its header is not UTF-8")
        same = [profile for profile in profiles if is_json or profile.delimiter == delimiter]
        found = recognise([header.strip() for header in headers], same)
        if isinstance(found, str):
            answers.append((len(headers), found))
            continue
        local = exports.local_path(listed)
        is_plain = local is not None and content.data[:1] != b"\xef" and not listed.name.lower().endswith(".gz")
        path = local if local is not None and is_plain else scratch.with_suffix(".csv")
        if path is not local and not is_json:
            path.write_bytes(content.data)
        file = _File(listed, content, path, [header.strip() for header in headers], found.kind, found.profile)
        return _by_hand(file, scratch) if is_json or content.is_cut else file
    return _Refused(listed, content.sha256, max(answers)[1] if answers else "there is no profile")


def _by_hand(file: _File, scratch: Path) -> _File:
    """Cut a file row by row in Python, for those that the fast reader refuses; bad rows are set aside."""
    if files.is_json(file.content.data):
        cut = files.cut_json(file.content, file.headers)
    else:
        cut = files.cut_csv(file.content, file.profile.delimiter)
    path = scratch.with_suffix(".cut.csv")
    path.write_bytes(files.as_csv(cut))
    profile = file.profile.model_copy(update={"delimiter": ","})
    return replace(file, path=path, bad=cut.bad, has_lines=True, profile=profile)


# ---------------------------------------------------------------- whole files


def _refuse(warehouse: Warehouse, refused: _Refused, now: datetime) -> IngestReport:
    """A file that cannot be used at all: one row in quarantine without a line, and loud."""
    _LOG.warning("export %s is refused: %s", refused.listed.name, refused.problem)
    with warehouse.transaction() as connection:
        batch = _next_batch(connection)
        _keep_file(connection, refused.listed, refused.sha256, None, None, batch, now, problem=refused.problem)
        _quarantine(
            connection,
            refused.listed.name,
            None,
            refused.sha256,
            [(None, None, refused.problem, None)],
            batch,
            now,
        )
    return IngestReport(files=1, refused_files=1)


def _note_repeated(warehouse: Warehouse, file: _File, now: datetime) -> IngestReport:
    """The same bytes under another name: noted, so that they are not read again, and nothing else."""
    with warehouse.transaction() as connection:
        _keep_file(
            connection, file.listed, file.content.sha256, file.kind, file.profile.name, _next_batch(connection), now
        )
    return IngestReport(files=1)


def _keep_file(
    connection: Connection,
    listed: Listed,
    sha256: str,
    kind: str | None,
    profile: str | None,
    batch: int,
    now: datetime,
    *,
    counts: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0),
    times: tuple[datetime | None, datetime | None] = (None, None),
    problem: str | None = None,
) -> None:
    source_time, source_time_from = listed.source_time
    connection.execute(
        """
        insert into landing.files (
            source_file, file_sha256, kind, profile, byte_size, source_time, source_time_from, modified_at, rows_read,
            rows_landed, rows_rejected, rows_repeated, rows_conflicting, first_source_time, last_source_time, problem,
            batch, received_at
        )
        values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        [
            listed.name, sha256, kind, profile, listed.size, source_time, source_time_from, listed.modified_at, *counts,
            *times, problem, batch, now,
        ],
    )  # fmt: skip


def _quarantine(
    connection: Connection,
    source_file: str,
    kind: str | None,
    sha256: str,
    rows: Sequence[_Rejected],
    batch: int,
    now: datetime,
) -> None:
    """Rows of (line, column, reason, raw text); e-mail addresses in them are blotted out."""
    connection.executemany(
        """
        insert into quarantine.rejected_rows (
            source_file, source_line, kind, column_name, reason, raw_text, file_sha256, batch, rejected_at
        )
        values (?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        [
            [source_file, line, kind, column, _blotted(reason), _blotted(text), sha256, batch, now]
            for line, column, reason, text in rows
        ],
    )


def _blotted(text: str | None) -> str | None:
    return None if text is None else _EMAIL.sub("…@…", text)


def _next_batch(connection: Connection) -> int:
    row = connection.execute("select nextval('landing.batch_numbers')").fetchone()
    return int(row[0]) if row else 0


# ---------------------------------------------------------------- rows


def _land_group(warehouse: Warehouse, group: list[_File], now: datetime) -> IngestReport:
    """Land files of one shape together; should that fail, one by one; should that fail, row by row."""
    try:
        with warehouse.transaction() as connection:
            odd = _read(connection, group)
            if not odd:
                return _land(connection, group, now)
    except duckdb.Error:
        odd = group
    if len(group) > 1:
        report = IngestReport()
        for file in group:
            report = report.plus(_land_group(warehouse, [file], now))
        return report
    (file,) = group
    if file.has_lines:
        problem = "cannot be read as a table; see the log"
        return _refuse(warehouse, _Refused(file.listed, file.content.sha256, problem), now)
    with tempfile.TemporaryDirectory() as scratch:
        return _land_group(warehouse, [_by_hand(file, Path(scratch) / "file")], now)


def _read(connection: Connection, group: list[_File]) -> list[_File]:
    """Read files of one shape into ``incoming``; answers those whose rows are not one line each."""
    connection.execute("set preserve_insertion_order = true")
    first = group[0]
    names = ["line"] if first.has_lines else []
    names += [f"h{number}" for number in range(len(first.headers))]
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    connection.execute(
        f"""
        create or replace temp table incoming as
        select * from read_csv(
            ?, delim = ?, quote = '"', escape = '"', header = true, auto_detect = false, columns = {{{columns}}},
            filename = true
        )
        """,  # noqa: S608 - our own names
        [[str(file.path) for file in group], "," if first.has_lines else first.profile.delimiter],
    )
    for file in group:
        file.batch = _next_batch(connection)
    connection.execute(
        """
        create or replace temp table incoming_files (
            filename varchar, source_file varchar, file_time timestamptz, batch bigint, first_row bigint
        )
        """
    )
    connection.executemany(
        "insert into incoming_files values (?, ?, ?, ?, null)",
        [[str(file.path), file.listed.name, file.listed.source_time[0], file.batch] for file in group],
    )
    rows = {
        filename: (first_row, count)
        for filename, first_row, count in connection.execute(
            "select filename, min(rowid), count(*) from incoming group by filename"
        ).fetchall()
    }
    connection.executemany(
        "update incoming_files set first_row = ? where filename = ?",
        [[first_row, filename] for filename, (first_row, _) in rows.items()],
    )
    if first.has_lines:
        return []
    return [file for file in group if rows.get(str(file.path), (0, 0))[1] != _physical_lines(file.content.data) - 1]


def _physical_lines(data: bytes) -> int:
    return data.count(b"\n") + (0 if data.endswith(b"\n") else 1)


def _land(connection: Connection, group: list[_File], now: datetime) -> IngestReport:
    """Type, check, compare with what is landed, and insert what ``incoming`` holds."""
    kind, profile = KINDS[group[0].kind], group[0].profile
    _check(connection, kind, profile, group[0])
    if kind.name in ("items", "shipments"):
        _identify(connection, kind)
    else:
        connection.execute("create or replace temp table identified as select * from checked")
    _compare(connection, kind)
    columns = ", ".join(kind.landed)
    connection.execute(
        f"""
        insert into landing.happy_returns_{kind.name}
            ({columns}, profile, row_sha256, source_time, source_file, source_line, landed_at, batch)
        select {columns}, $profile, row_sha256, source_time, source_file, source_line, $now, batch
        from compared where fate = 'landed'
        """,  # noqa: S608 - our own names
        {"profile": profile.name, "now": now},
    )
    if kind.name == "returns":
        _keep_personal(connection, now)
    return _account(connection, kind, group, now)


def _check(connection: Connection, kind: Kind, profile: Profile, file: _File) -> None:
    """``checked``: one row per incoming row, typed, with its problem (column and reason) or null."""
    texts = parsing.texts(kind, profile, file.headers)
    typed = parsing.typed(kind, profile)
    line = "line::bigint" if file.has_lines else "incoming.rowid - first_row + 2"
    more = ""
    if kind.name == "returns":
        more = f", substr(sha256('{_key(connection)}' || lower(t_customer_email)), 1, 24) as customer_token"
    connection.execute(
        f"""
        create or replace temp table checked as
        select
            * exclude ({", ".join(f"t_{name}" for name in texts if name != "customer_email")}, updated_at),
            coalesce(updated_at, file_time) as source_time,
            {parsing.problem(kind)} as problem,
            {parsing.row_hash(kind)} as row_sha256
        from (
            select *, {", ".join(f"{sql} as {name}" for name, sql in typed.items())}{more}
            from (
                select {", ".join(f"{sql} as t_{name}" for name, sql in texts.items())},
                    source_file, {line} as source_line, batch, file_time
                from incoming join incoming_files using (filename)
            )
        )
        """  # noqa: S608 - our own names
    )


def _key(connection: Connection) -> str:
    """The key of this database's tokens, made at random once."""
    row = connection.execute("select value from meta.keys where name = 'personal'").fetchone()
    if row:
        return str(row[0])
    key = secrets.token_hex(16)
    connection.execute("insert into meta.keys values ('personal', ?)", [key])
    return key


def _identify(connection: Connection, kind: Kind) -> None:
    """``identified``: each unit's own id. Happy Returns' item id, else a hash of return, order, line and unit offset.

    An id that turns up later for a unit that was landed without one is an alias of its hash.
    """
    if kind.name == "shipments":
        connection.execute(
            """
            create or replace temp table identified as
            select checked.* replace (
                coalesce(problem, case when item_id is null
                    then struct_pack(column_name := 'item_id', reason := 'is missing') end) as problem
            ), coalesce(alias.return_item_id, checked.item_id) as return_item_id
            from checked
            left join (
                select item_id, any_value(return_item_id) as return_item_id from landing.happy_returns_items
                where item_id is not null and return_item_id <> item_id group by item_id
            ) as alias using (item_id)
            """
        )
        return
    base = f"coalesce(nullif(regexp_extract(order_line_item_id, '{parsing.UNIT}', 1), ''), order_line_item_id)"
    row = connection.execute(
        """
        select exists (select 1 from checked where item_id is null)
            or exists (select 1 from landing.happy_returns_items where return_item_id like 'unit-%')
        """
    ).fetchone()
    if row and not row[0]:
        connection.execute(
            f"create or replace temp table identified as select *, item_id as return_item_id, {base} as base_line_item_id from checked"  # noqa: S608 - our own names
        )
        return
    connection.execute(
        f"""
        create or replace temp table identified as
        with
        -- One row per incoming row, with its unit's place on its line where that can be known.
        placed as (
            select
                *,
                {base} as base_line_item_id,
                coalesce(unit_offset, case when
                    count(*) over (partition by source_file, batch, return_id, order_number) = items_total
                    then row_number() over (
                        partition by source_file, batch, return_id, order_number, coalesce({base}, sku, upc)
                        order by source_line
                    ) - 1 end) as place
            from checked
            left join (
                select return_id, order_number, arg_max(items_total, (source_time, batch, source_line)) as items_total
                from landing.happy_returns_returns group by all
            ) using (return_id, order_number)
        ),

        hashed as (
            select *, case when place is not null then 'unit-' || substr(sha256(concat_ws(
                chr(31), return_id, order_number, coalesce(base_line_item_id, sku, upc), place::varchar
            )), 1, 20) end as unit_hash
            from placed
        ),

        without_id as (
            select unit_hash from hashed where item_id is null and unit_hash is not null
            union
            select return_item_id from landing.happy_returns_items where return_item_id like 'unit-%'
        )

        select
            hashed.* exclude (items_total, place, unit_hash) replace (
                coalesce(problem, case when item_id is null and unit_hash is null then struct_pack(
                    column_name := 'item_id',
                    reason := 'is missing, its line id has no unit offset, and the file does not hold the whole return'
                ) end) as problem,
                coalesce(unit_offset, place) as unit_offset
            ),
            case when item_id is null or without_id.unit_hash is not null then hashed.unit_hash else item_id end
                as return_item_id
        from hashed
        left join without_id on without_id.unit_hash = hashed.unit_hash
        """  # noqa: S608 - our own names
    )


def _compare(connection: Connection, kind: Kind) -> None:
    """``compared``: is a row new, or equal to the latest landed row of its business key (within the same file, too)?"""
    key = ", ".join(kind.key)
    connection.execute(
        f"""
        create or replace temp table compared as
        with
        latest as (
            select {key}, arg_max(row_sha256, (batch, source_line)) as row_sha256
            from landing.happy_returns_{kind.name}
            semi join (select distinct {key} from identified where problem is null) using ({key})
            group by {key}
        ),

        good as (
            select *, lag(row_sha256) over (partition by {key} order by batch, source_line) as before
            from identified where problem is null
        )

        select
            good.* exclude (before),
            case when coalesce(before, latest.row_sha256) = good.row_sha256 then 'repeated' else 'landed' end as fate
        from good
        left join latest using ({key})
        union all by name
        select *, 'rejected' as fate from identified where problem is not null
        """  # noqa: S608 - our own names
    )


def _keep_personal(connection: Connection, now: datetime) -> None:
    connection.execute(
        """
        insert into landing.personal (token, source, field, value, received_at)
        select distinct on (customer_token) customer_token, 'happy_returns', 'customer_email', t_customer_email, $now
        from compared
        where fate = 'landed' and customer_token is not null
            and customer_token not in (select token from landing.personal)
        """,
        {"now": now},
    )


def _account(connection: Connection, kind: Kind, group: list[_File], now: datetime) -> IngestReport:
    """Control totals of each file, and what was rejected of it."""
    key = " and ".join(f"a.{column} is not distinct from b.{column}" for column in kind.key)
    conflicts = dict(
        connection.execute(
            f"""
            select a.batch, count(*)
            from landing.happy_returns_{kind.name} as a
            semi join landing.happy_returns_{kind.name} as b
                on {key} and a.source_time = b.source_time and a.row_sha256 <> b.row_sha256
                and (b.batch, b.source_line) < (a.batch, a.source_line)
            where a.batch >= ?
            group by a.batch
            """,  # noqa: S608 - our own names
            [min(file.batch for file in group)],
        ).fetchall()
    )
    totals = {
        row[0]: row[1:]
        for row in connection.execute(
            """
            select batch, count(*), count(*) filter (where fate = 'landed'), count(*) filter (where fate = 'rejected'),
                count(*) filter (where fate = 'repeated'), min(source_time) filter (where fate = 'landed'),
                max(source_time) filter (where fate = 'landed')
            from compared group by batch
            """
        ).fetchall()
    }
    rejected: dict[int, list[tuple[int, str, str]]] = defaultdict(list)
    for batch, line, column, reason in connection.execute(
        """
        select batch, source_line, problem.column_name, problem.reason from compared
        where fate = 'rejected' order by batch, source_line
        """
    ).fetchall():
        rejected[batch].append((line, column, reason))
    report = IngestReport()
    for file in group:
        read, landed, refused, repeated, first, last = totals.get(file.batch, (0, 0, 0, 0, None, None))
        wanted = {line for line, _, _ in rejected[file.batch]}
        raw = dict(files.lines_of(file.content.data, wanted)) if wanted else {}
        rows: list[_Rejected] = [(line, column, why, raw.get(line)) for line, column, why in rejected[file.batch]]
        rows += [(bad.line, None, bad.reason, bad.text) for bad in file.bad]
        if rows:
            _quarantine(
                connection, file.listed.name, kind.name, file.content.sha256, sorted(rows, key=lambda row: row[0] or 0),
                file.batch, now,
            )  # fmt: skip
        read, refused = read + len(file.bad), refused + len(file.bad)
        _keep_file(
            connection, file.listed, file.content.sha256, kind.name, file.profile.name, file.batch, now,
            counts=(read, landed, refused, repeated, conflicts.get(file.batch, 0)), times=(first, last),
        )  # fmt: skip
        report = report.plus(IngestReport(1, 0, read, landed, refused, repeated))
    return report
