"""One export file into the landing tables: typed, checked and compared inside DuckDB, whole columns at a time."""

from __future__ import annotations

import csv
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from hr_centra_pipeline.sources.happy_returns import identity, parsing, writings
from hr_centra_pipeline.sources.happy_returns.export_kinds import KINDS, Kind, KindName
from hr_centra_pipeline.sources.happy_returns.export_profiles import Profile
from hr_centra_pipeline.sources.intake import bounds, cutting, rejected
from hr_centra_pipeline.sources.intake.contents import Content
from hr_centra_pipeline.sources.intake.cutting import BadRow
from hr_centra_pipeline.sources.intake.file_log import FileLog, LogTable
from hr_centra_pipeline.sources.intake.places import Listed
from hr_centra_pipeline.sources.intake.rejected import Rejected
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.made import makes

# DuckDB reads a file in pieces of 16 lines of this size, a thread each: a longer line is for those that are cut by hand.
_MOST_BYTES_OF_A_LINE = 2_000_000
_BUFFER_BYTES = 32_000_000
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
    def profile(self) -> Profile:
        """How they spell it."""
        return self.members[0].profile


@dataclass(frozen=True)
class Counts:
    """Rows of one file: read = landed + rejected + repeated."""

    read: int = 0
    landed: int = 0
    rejected: int = 0
    repeated: int = 0
    conflicting: int = 0


def landed_hashes(connection: Connection) -> set[str]:
    """Of every file that was landed, whatever its name was."""
    rows = connection.execute("select distinct file_sha256 from landing.files where problem is null").fetchall()
    return {sha256 for (sha256,) in rows}


def note_repeated(connection: Connection, log: FileLog, repeated: Sequence[ExportFile], now: datetime) -> None:
    """Record files with the same bytes as an earlier one, so that they are not read again. Lands no rows."""
    log.keep(connection, [_row(log, file, Counts(), (None, None)) for file in repeated], now)


# ---------------------------------------------------------------- rows


def read(connection: Connection, group: Group, scratch: Path, now: datetime) -> bool:
    """Read files into ``checked``: one row per row, typed, with its problem (column and reason) or null, and its hash.

    All in one pass, since writing a wide table costs more than all that is computed here. Answers whether each row is
    one line of its file; else the lines are wrong, and they are to be cut by hand.
    """
    path = scratch / "rows.csv"
    expected = _write_cut(group, path) if group.is_cut_by_hand else _write_together(group, path)
    kind, profile = group.kind, group.profile
    is_plain = not group.is_cut_by_hand and all(_is_plain(file) for file in group.members)
    headers = group.members[0].headers
    texts = parsing.texts(kind, profile, list(headers), is_plain=is_plain)
    typed = parsing.typed(kind, profile)
    names = (["line"] if group.is_cut_by_hand else []) + [f"h{number}" for number in range(len(headers))]
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    more = ["line::bigint as cut_line"] if group.is_cut_by_hand else []
    kept = ["cut_line"] if group.is_cut_by_hand else []
    if kind.name == "items":
        more.append("t_base_line_item_id as base_line_item_id")
        kept.append("base_line_item_id")
    if kind.name == "returns":
        more.append(f"substr(sha256('{_key(connection)}' || lower(t_customer_email)), 1, 24) as customer_token")
        kept += ["customer_token", "t_customer_email"]
    # What was cut by hand has each row on a line of its own, of any length; what DuckDB sets aside for lines follows from that.
    most_bytes = _MOST_BYTES_OF_A_LINE
    if group.is_cut_by_hand:
        most_bytes = max(min(2 * bounds.MOST_BYTES_OF_A_ROW + 1_000_000, path.stat().st_size), most_bytes)
    connection.execute(parsing.MACROS)
    connection.execute("set preserve_insertion_order = true")  # rows are numbered by it; wide tables are written faster
    connection.execute(
        f"""
        create or replace temp table checked as
        with cell_texts as (
            select {", ".join([*names[: group.is_cut_by_hand], *(f"{sql} as t_{name}" for name, sql in texts.items())])}
            from read_csv(
                $path, delim = $delimiter, quote = '"', escape = '"', header = true, auto_detect = false,
                columns = {{{columns}}}, nullstr = '', max_line_size = $most_bytes,
                buffer_size = $buffer_bytes
            )
        ),

        texts_with_codes as (
            select *, {parsing.looks_mangled()} as looks_mangled from (select *, {parsing.codes(kind)} as codes from cell_texts)
        ),

        typed_rows as (
            select *, {", ".join([*(f"{sql} as {name}" for name, sql in typed.items()), *more])} from texts_with_codes
        )

        select
            {", ".join([*kind.brought, *kept])},
            updated_at as told_time,
            {parsing.problem(kind, is_plain=is_plain)} as problem,
            {parsing.row_hash(kind)} as row_sha256,
            {parsing.kept_texts(kind, profile)} as texts
        from typed_rows
        """,  # noqa: S608 - our own names
        {
            "path": _as_glob(path), "now": now,
            "delimiter": "," if group.is_cut_by_hand else profile.delimiter,
            "most_bytes": most_bytes, "buffer_bytes": max(_BUFFER_BYTES, 2 * most_bytes),
        },
    )  # fmt: skip
    path.unlink()
    count, first = connection.execute("select count(*), min(rowid) from checked").fetchone() or (0, 0)
    number = "cut_line" if group.is_cut_by_hand else f"rowid - {first or 0} + 2"
    _number_lines(connection, group, number)
    return bool(count == expected)


def some_have_no_id(connection: Connection) -> bool:
    """Of the items in ``checked``."""
    row = connection.execute("select exists (from checked where item_id is null)").fetchone()
    return bool(row and row[0])


def _as_glob(path: Path) -> str:
    """A path for DuckDB's readers, which take every name for a pattern."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


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


def _number_lines(connection: Connection, group: Group, number: str) -> None:
    """``lines``: the rows of ``checked`` with number, file and source time; ``members``: one row per file."""
    connection.execute(
        """
        create or replace temp table members as
        select
            unnest($places) as place, unnest($bases) as base, unnest($batches) as batch, unnest($names) as source_file,
            unnest($times)::timestamptz as file_time
        """,
        {
            "places": list(range(len(group.members))), "bases": group.bases,
            "batches": [file.batch for file in group.members], "names": [file.listed.name for file in group.members],
            "times": [file.listed.source_time[0] for file in group.members],
        },
    )  # fmt: skip
    if len(group.members) == 1:
        member = group.members[0]
        file_time = member.listed.source_time[0].isoformat()
        connection.execute(
            f"""
            create or replace temp view lines as
            select
                {number} as source_line, 0 as file, {member.batch}::bigint as batch,
                coalesce(told_time, timestamptz '{file_time}') as source_time, *
            from checked
            """  # noqa: S608 - our own names
        )
        return
    connection.execute(
        f"""
        create or replace temp view lines as
        select numbered.*, members.place as file, members.batch, coalesce(told_time, members.file_time) as source_time
        from (select {number} as source_line, * from checked) as numbered
        asof join members on numbered.source_line >= members.base + {1 if group.is_cut_by_hand else 2}
        """  # noqa: S608 - our own names
    )


@makes(
    "landing.happy_returns_rows",
    "One row per row of an export file, append-only: file, line, hash, source time.",
    reads=(
        "landing.happy_returns_returns",
        "landing.happy_returns_items",
        "landing.happy_returns_refunds",
        "landing.happy_returns_shipments",
    ),
    kind="source",
)
@makes(
    "landing.happy_returns_returns",
    "One row per row of an export file of returns, and per return that an answer of the partner API shows.",
    reads=("landing.partner_answers",),
    kind="source",
)
@makes(
    "landing.happy_returns_items",
    "One row per row of an export file of units, and per unit that an answer of the partner API shows.",
    reads=("landing.partner_answers",),
    kind="source",
)
@makes("landing.happy_returns_refunds", "One row per row of an export file of refunds.", kind="source")
@makes(
    "landing.happy_returns_shipments",
    "One row per row of an export file of shipments, and per unit of a shipment that the partner API names.",
    reads=("landing.partner_answers",),
    kind="source",
)
def land(connection: Connection, group: Group, log: FileLog, now: datetime) -> list[Counts]:
    """Compare what ``checked`` holds with what is landed, and insert what is new. Answers the counts of each file."""
    kind = group.kind
    identity.identify(connection, kind)
    if kind.name == "returns":
        _refuse_other_retailers(connection, now)
    _compare(connection, group)
    if writings.refuse_other_writings(connection, kind):
        _compare(connection, group)
    if identity.refuse_contradictions(connection, kind):
        _compare(connection, group)
    columns = ", ".join(kind.landed)
    known = {"items": ["unit_offset", "return_item_id"], "shipments": ["return_item_id"]}.get(kind.name, [])
    selected = ", ".join(f"{'identified' if name in known else 'lines'}.{name}" for name in kind.landed)
    # Of a single file these are constants, which cost less to store than what a join brings.
    told = {"profile": group.profile.name, "now": now}
    source_file, base, batch, of_files = (
        "members.source_file",
        "members.base",
        "members.batch",
        "join members on members.place = lines.file",
    )
    if len(group.members) == 1:
        source_file, base, batch, of_files = "$source_file", "$base", "$batch", ""
        told |= {"source_file": group.members[0].listed.name, "base": group.bases[0], "batch": group.members[0].batch}
    connection.execute(
        f"""
        insert into landing.happy_returns_{kind.name}
            ({columns}, profile, row_sha256, source_time, source_file, source_line, landed_at, batch, texts)
        select
            {selected}, $profile, lines.row_sha256, lines.source_time, {source_file}, lines.source_line - {base},
            $now, {batch}, lines.texts
        from lines
        join (from identified semi join new_lines using (source_line)) as identified using (source_line)
        {of_files}
        """,  # noqa: S608 - our own names
        told,
    )
    if kind.name == "returns":
        _keep_personal(connection, now)
    return _account(connection, log, group, now)


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
                || lines.retailer_id || '. Give it a home of its own, or: hr-centra rebind --retailer ' || lines.retailer_id,
            'word': lines.retailer_id
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
    connection.execute("insert into meta.keys (name, value) values ('personal', ?)", [key])
    return key


def _compare(connection: Connection, group: Group) -> None:
    """``new_lines``: good rows that differ from the latest landed row of their business key, in these files, too.

    ``is_known``: there is such an earlier row. ``names_another``: one that is about something else.
    A file that is read again repeats each row that it brought before.
    """
    kind = group.kind
    key = ", ".join(kind.key)
    about = identity.ABOUT.get(kind.name, ())
    carried = "".join(f", {column}" for column in about)
    before = "".join(f", lag({column}) over earlier as before_{column}" for column in about)
    latest = "".join(f", arg_max({column}, (batch, source_line)) as latest_{column}" for column in about)
    again = "false"
    if group.members[0].is_again:
        again = f"""exists (
            select 1 from landing.happy_returns_{kind.name} as landed
            where landed.source_file = $source_file and landed.source_line = good_rows.source_line
                and landed.row_sha256 = good_rows.row_sha256
        )"""  # noqa: S608 - our own names
    connection.execute(
        f"""
        create or replace temp table new_lines as
        with
        -- One row per good row, with the one before it of the same key in these files.
        good_rows as (
            select
                {key}, source_line, file, row_sha256, lag(row_sha256) over earlier as before, lag(file) over earlier as before_file
                {carried}{before}
            from identified where problem is null
            window earlier as (partition by {key} order by source_line)
        ),

        -- One row per key of these files that was landed before: its latest row.
        landed_rows as (
            select {key}, arg_max(row_sha256, (batch, source_line)) as row_sha256{latest}
            from landing.happy_returns_{kind.name}
            semi join good_rows using ({key})
            group by {key}
        )

        select
            good_rows.source_line, good_rows.before is not null or landed_rows.row_sha256 is not null as is_known,
            {identity.names_another(kind)} as names_another
        from good_rows
        left join landed_rows using ({key})
        where good_rows.row_sha256 is distinct from coalesce(good_rows.before, landed_rows.row_sha256) and not {again}
        """,  # noqa: S608 - our own names
        {"source_file": group.members[0].listed.name} if group.members[0].is_again else {},
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
    counted = {
        place: rest for place, *rest in connection.execute(
            """
            select
                file, count(*), count(*) filter (where problem is not null), count(new_lines.source_line),
                min(source_time) filter (where new_lines.source_line is not null),
                max(source_time) filter (where new_lines.source_line is not null)
            from identified
            left join new_lines using (source_line)
            group by file
            """
        ).fetchall()
    }  # fmt: skip
    wrong: dict[int, list[tuple[int, str | None, str, str | None]]] = {}
    for place, line, column, why, word in connection.execute(
        """
        select file, source_line - members.base, problem.column_name, problem.reason, problem.word
        from identified
        join members on members.place = identified.file
        where problem is not null
        """
    ).fetchall():
        wrong.setdefault(place, []).append((line, column, why, word))
    for place, bad in group.bad:
        wrong.setdefault(place, []).append((bad.line, "", bad.reason, None))
    texts = {(place, bad.line): bad.text for place, bad in group.bad}
    # A file that is read again with other columns corrects itself.
    conflicting = {} if group.members[0].is_again else _conflicting(connection, group.kind)
    accounts, notes = [], []
    for place, file in enumerate(group.members):
        good, refused, landed, first, last = counted.get(place, (0, 0, 0, None, None))
        cut = sum(of == place for of, _ in group.bad) if place in wrong else 0
        counts = Counts(good + cut, landed, refused + cut, good - refused - landed, conflicting.get(file.batch, 0))
        accounts.append(counts)
        notes.append(_row(log, file, counts, (first, last)))
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


def _conflicting(connection: Connection, kind: Kind) -> dict[int, int]:
    """Batch -> landed rows that contradict an earlier one of the same key and source time; the later one holds."""
    key = ", ".join([*kind.key, "source_time"])
    rows = connection.execute(
        f"""
        with
        -- One row per key and source time that these files report again.
        repeated_keys as (
            select distinct {key} from identified semi join (from new_lines where is_known) as known using (source_line)
        ),

        -- One row per key and source time of these that was reported in several ways.
        contradicted_keys as (
            select {key}
            from landing.happy_returns_{kind.name}
            semi join repeated_keys using ({key})
            group by {key}
            having min(row_sha256) <> max(row_sha256)
        ),

        later_rows as (
            select batch, row_sha256 <> min(row_sha256) over earlier or row_sha256 <> max(row_sha256) over earlier as differs
            from landing.happy_returns_{kind.name}
            semi join contradicted_keys using ({key})
            window earlier as (
                partition by {key} order by batch, source_line rows between unbounded preceding and 1 preceding
            )
        )

        select batch, count(*) from later_rows where batch in (select batch from members) and differs group by batch
        """  # noqa: S608 - our own names
    ).fetchall()
    return dict(rows)
