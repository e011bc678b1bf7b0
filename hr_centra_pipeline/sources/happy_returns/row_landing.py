"""Rows into the landing tables, whichever feed brings them: typed, checked and compared inside DuckDB, whole columns at a time."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from hr_centra_pipeline.sources.happy_returns import identity, news, parsing, units_of_feeds, writings
from hr_centra_pipeline.sources.happy_returns.export_kinds import Kind
from hr_centra_pipeline.sources.happy_returns.export_profiles import Profile
from hr_centra_pipeline.sources.intake import bounds
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes

# DuckDB reads a file in pieces of 16 lines of this size, a thread each: a longer line is for those that are cut by hand.
_MOST_BYTES_OF_A_LINE = 2_000_000
_BUFFER_BYTES = 32_000_000

_OTHER_RETAILER = (
    "is of another retailer than this database (KNOWN): OTHER. "
    "Give it a home of its own, or: hr-centra rebind --retailer OTHER"
)

Feed = Literal["files", "events", "api"]


@dataclass(frozen=True)
class Source:
    """What one file or body is to its rows. ``time``: the time of a row that has none. ``is_again``: it was landed before.

    ``tells_method``: it came because the drop-off method was chosen.
    """

    name: str
    batch: int
    time: datetime
    is_again: bool = False
    tells_method: bool = False


@dataclass
class Rows:
    """Rows of one kind that are landed together, the first source first.

    While they are landed, each row has a number of its own: its line in its source plus ``base`` of that.
    Rows of files are whole states; those of the other feeds say what they say. ``dated``: times of units that hold the time of
    the source where nothing else is reported.
    """

    kind: Kind
    profile: Profile
    headers: Sequence[str]
    sources: Sequence[Source]
    bases: Sequence[int]
    feed: Feed = "files"
    dated: Sequence[str] = ()
    is_cut_by_hand: bool = True
    is_plain: bool = False

    @property
    def is_partial(self) -> bool:
        """What a row does not say stays as it was."""
        return self.feed != "files"


@dataclass(frozen=True)
class Counts:
    """Rows of one file or body: read = landed + rejected + repeated."""

    read: int = 0
    landed: int = 0
    rejected: int = 0
    repeated: int = 0
    conflicting: int = 0


def check(connection: Connection, rows: Rows, path: Path, now: datetime) -> int:
    """Read a CSV of texts into ``checked``: one row per row, typed, with its problem (column and reason) or null, and its hash.

    All in one pass, since writing a wide table costs more than all that is computed here. Removes the CSV; answers how many
    rows it had.
    """
    kind, profile = rows.kind, rows.profile
    texts = parsing.texts(kind, profile, list(rows.headers), is_plain=rows.is_plain, is_partial=rows.is_partial)
    typed = parsing.typed(kind, profile, is_partial=rows.is_partial)
    names = (["line"] if rows.is_cut_by_hand else []) + [f"h{number}" for number in range(len(rows.headers))]
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    more = ["line::bigint as cut_line"] if rows.is_cut_by_hand else []
    kept = ["cut_line"] if rows.is_cut_by_hand else []
    if kind.name == "items":
        more.append("t_base_line_item_id as base_line_item_id")
        kept.append("base_line_item_id")
    if kind.name == "returns":
        more.append(f"substr(sha256('{_key(connection)}' || lower(t_customer_email)), 1, 24) as customer_token")
        kept += ["customer_token", "t_customer_email"]
    # What was cut by hand has each row on a line of its own, of any length; what DuckDB sets aside for lines follows from that.
    most_bytes = _MOST_BYTES_OF_A_LINE
    if rows.is_cut_by_hand:
        most_bytes = max(min(2 * bounds.MOST_BYTES_OF_A_ROW + 1_000_000, path.stat().st_size), most_bytes)
    connection.execute(parsing.MACROS)
    connection.execute("set preserve_insertion_order = true")  # rows are numbered by it; wide tables are written faster
    connection.execute(
        f"""
        create or replace temp table checked as
        with cell_texts as (
            select {", ".join([*names[: rows.is_cut_by_hand], *(f"{sql} as t_{name}" for name, sql in texts.items())])}
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
            {parsing.told_time(kind, is_partial=rows.is_partial)} as told_time,
            {parsing.problem(kind, is_plain=rows.is_plain, is_partial=rows.is_partial)} as problem,
            {parsing.row_hash(kind)} as row_sha256,
            {parsing.kept_texts(kind, profile)} as texts
        from typed_rows
        """,  # noqa: S608 - our own names
        {
            "path": _as_glob(path), "now": now,
            "delimiter": "," if rows.is_cut_by_hand else profile.delimiter,
            "most_bytes": most_bytes, "buffer_bytes": max(_BUFFER_BYTES, 2 * most_bytes),
        },
    )  # fmt: skip
    path.unlink()
    count, first = connection.execute("select count(*), min(rowid) from checked").fetchone() or (0, 0)
    _number_lines(connection, rows, "cut_line" if rows.is_cut_by_hand else f"rowid - {first or 0} + 2")
    return int(count)


def some_have_no_id(connection: Connection) -> bool:
    """Of the items in ``checked``."""
    row = connection.execute("select exists (from checked where item_id is null)").fetchone()
    return bool(row and row[0])


def _as_glob(path: Path) -> str:
    """A path for DuckDB's readers, which take every name for a pattern."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def _number_lines(connection: Connection, rows: Rows, number: str) -> None:
    """``lines``: the rows of ``checked`` with number, source and source time; ``members``: one row per source."""
    connection.execute(
        """
        create or replace temp table members as
        select
            unnest($places) as place, unnest($bases) as base, unnest($batches) as batch, unnest($names) as source_file,
            unnest($times)::timestamptz as file_time, unnest($again) as is_again, unnest($methods) as tells_method
        """,
        {
            "places": list(range(len(rows.sources))), "bases": list(rows.bases),
            "batches": [one.batch for one in rows.sources], "names": [one.name for one in rows.sources],
            "times": [one.time for one in rows.sources], "again": [one.is_again for one in rows.sources],
            "methods": [one.tells_method for one in rows.sources],
        },
    )  # fmt: skip
    if len(rows.sources) == 1:
        (source,) = rows.sources
        connection.execute(
            f"""
            create or replace temp view lines as
            select
                {number} as source_line, 0 as file, {source.batch}::bigint as batch,
                {_source_time(rows, f"timestamptz '{source.time.isoformat()}'")} as source_time, *
            from checked
            """  # noqa: S608 - our own names
        )
        return
    connection.execute(
        f"""
        create or replace temp view lines as
        select
            numbered.*, members.place as file, members.batch, {_source_time(rows, "members.file_time")} as source_time
        from (select {number} as source_line, * from checked) as numbered
        asof join members on numbered.source_line >= members.base + {1 if rows.is_cut_by_hand else 2}
        """  # noqa: S608 - our own names
    )


def _source_time(rows: Rows, of_source: str) -> str:
    """SQL for the time of a row's state. What a body reports has happened by the time it came."""
    if not rows.is_partial:
        return f"coalesce(told_time, {of_source})"
    return f"least(coalesce(told_time.updated_at, told_time.latest_at, {of_source}), {of_source})"


@makes(
    "landing.happy_returns_rows",
    "One row per row of an export file, webhook delivery or partner API answer, append-only: source, line, hash, source time.",
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
    "One row per reported state of a return on an order, by feed.",
    reads=("landing.partner_answers",),
    kind="source",
)
@makes(
    "landing.happy_returns_items",
    "One row per reported state of a unit, by feed.",
    reads=("landing.partner_answers",),
    kind="source",
)
@makes("landing.happy_returns_refunds", "One row per row of an export file of refunds.", kind="source")
@makes(
    "landing.happy_returns_shipments",
    "One row per reported state of a unit in a shipment, by feed.",
    reads=("landing.partner_answers",),
    kind="source",
)
@makes(
    "landing.happy_returns_bags",
    "One row per report of the bag that a return is in.",
    reads=("landing.events",),
    kind="source",
)
def land(connection: Connection, rows: Rows, now: datetime) -> None:
    """Compare what ``checked`` holds with what is landed, and insert what is new.

    Leaves ``identified`` (a row's problem) and ``new_lines`` (what was landed) for the accounts.
    """
    kind = rows.kind
    identity.identify(connection, kind)
    if kind.name == "items":
        units_of_feeds.match_across_feeds(connection, rows.feed)
    if rows.is_partial and kind.name == "items":
        identity.refuse_unknown_units(connection)
    if kind.name == "returns":
        refuse_other_retailers(connection, now)
    _compare(connection, rows)
    if writings.refuse_other_writings(connection, kind):
        _compare(connection, rows)
    if identity.refuse_contradictions(connection, kind):
        _compare(connection, rows)
    if rows.is_partial and kind.name in news.TIMES:
        news.date_news(connection, kind)
    whole = ("", "")
    if not rows.is_partial and kind.name in news.TIMES and _others_report(connection, kind):
        news.find_parts(connection, kind)
        whole = (", is_whole", ", lines.source_line not in (select source_line from parts)")
    columns = ", ".join(kind.landed)
    known = {"items": ["unit_offset", "return_item_id"], "shipments": ["return_item_id"]}.get(kind.name, [])
    values = {name: f"{'identified' if name in known else 'lines'}.{name}" for name in kind.landed}
    texts = "lines.texts"
    if rows.dated and kind.name == "items":
        for name in rows.dated:
            is_told = news.was_dated(name)
            values[name] = f"case when not ({is_told}) then {values[name]} end"
            texts = (
                f"case when {is_told} then json_merge_patch({texts}, '{{\"{name}\": null}}')::varchar else {texts} end"
            )
    selected = ", ".join(values.values())
    # Of a single source these are constants, which cost less to store than what a join brings.
    told: dict[str, object] = {"profile": rows.profile.name, "now": now, "feed": rows.feed}
    source_file, base, batch, of_sources = (
        "members.source_file",
        "members.base",
        "members.batch",
        "join members on members.place = lines.file",
    )
    if len(rows.sources) == 1:
        source_file, base, batch, of_sources = "$source_file", "$base", "$batch", ""
        told |= {"source_file": rows.sources[0].name, "base": rows.bases[0], "batch": rows.sources[0].batch}
    connection.execute(
        f"""
        insert into landing.happy_returns_{kind.name}
            ({columns}, profile, row_sha256, source_time, source_file, source_line, landed_at, batch, texts, feed{whole[0]})
        select
            {selected}, $profile, lines.row_sha256, identified.source_time, {source_file}, lines.source_line - {base},
            $now, {batch}, {texts}, $feed{whole[1]}
        from lines
        join (from identified semi join new_lines using (source_line)) as identified using (source_line)
        {of_sources}
        """,  # noqa: S608 - our own names
        told,
    )
    if kind.name == "returns":
        _keep_personal(connection, now)


def _others_report(connection: Connection, kind: Kind) -> bool:
    """A row of an event or of the partner API was ever landed."""
    row = connection.execute(f"select exists (from landing.happy_returns_{kind.name} where feed <> 'files')").fetchone()
    return bool(row and row[0])


def retailers(connection: Connection) -> list[str]:
    """Whose returns this database is about; none: nobody's yet."""
    rows = connection.execute(
        "select distinct value from meta.belongs_to where name = 'retailer' order by all"
    ).fetchall()
    return [name for (name,) in rows]


def accept_first_retailer(connection: Connection, name: str, now: datetime) -> None:
    """The first retailer whose returns are landed is the one that this database is about."""
    connection.execute(
        "insert into meta.belongs_to select 'retailer', $name, $now, null, null, null", {"name": name, "now": now}
    )


def expect_retailer(warehouse: Warehouse, name: str, now: datetime) -> None:
    """The configured retailer (HAPPY_RETURNS_RETAILER_ID) is the one that a new database is about."""
    if name:
        with warehouse.transaction() as connection:
            if not retailers(connection):
                accept_first_retailer(connection, name, now)


def of_another_retailer(known: Sequence[str], name: str) -> str:
    """Why what is of a retailer is rejected."""
    return _OTHER_RETAILER.replace("KNOWN", ", ".join(known)).replace("OTHER", name)


def refuse_other_retailers(connection: Connection, now: datetime) -> None:
    """Returns of another retailer than those that this database is about are rejected; the first that is landed is the one."""
    known = retailers(connection)
    if not known:
        first = connection.execute(
            "select retailer_id from lines where problem is null and retailer_id is not null order by source_line limit 1"
        ).fetchone()
        if first:
            known = [str(first[0])]
            accept_first_retailer(connection, known[0], now)
    connection.execute(
        """
        update identified set problem = {
            'column_name': 'retailer_id',
            'reason': replace(replace($text, 'KNOWN', array_to_string($names::varchar[], ', ')), 'OTHER', lines.retailer_id),
            'word': lines.retailer_id
        }
        from lines
        where lines.source_line = identified.source_line and identified.problem is null
            and lines.retailer_id is not null and not list_contains($names::varchar[], lines.retailer_id)
        """,
        {"names": known, "text": _OTHER_RETAILER},
    )


def _key(connection: Connection) -> str:
    """The key of this database's tokens, made at random once."""
    row = connection.execute("select value from meta.keys where name = 'personal'").fetchone()
    if row:
        return str(row[0])
    key = secrets.token_hex(16)
    connection.execute("insert into meta.keys (name, value) values ('personal', ?)", [key])
    return key


def _compare(connection: Connection, rows: Rows) -> None:
    """``new_lines``: good rows that differ from the latest landed row of their business key and feed, in these sources, too.

    ``is_known``: there is such an earlier row. ``names_another``: one that is about something else.
    A source that is read again repeats each row that it brought before.
    """
    kind = rows.kind
    key = ", ".join(kind.key)
    about = identity.ABOUT.get(kind.name, ())
    carried = "".join(f", {column}" for column in about)
    before = "".join(f", lag({column}) over earlier as before_{column}" for column in about)
    latest = "".join(f", arg_max({column}, (batch, source_line)) as latest_{column}" for column in about)
    again = "false"
    if any(one.is_again for one in rows.sources):
        again = f"""exists (
            select 1 from landing.happy_returns_{kind.name} as landed
            join members on members.source_file = landed.source_file and members.is_again
            where members.place = good_rows.file and landed.source_line = good_rows.source_line - members.base
                and landed.row_sha256 = good_rows.row_sha256
        )"""  # noqa: S608 - our own names
    # A method that is chosen again is news once another feed has said something since.
    chosen_again = "false"
    if any(one.tells_method for one in rows.sources):
        chosen_again = """good_rows.before is null and landed_rows.other_batch > landed_rows.own_batch and exists (
            select 1 from members where members.place = good_rows.file and members.tells_method
        )"""
    latest_sha256 = "arg_max(row_sha256, (batch, source_line)) filter (where feed = $feed)"
    connection.execute(
        f"""
        create or replace temp table new_lines as
        with
        -- One row per good row, with the one before it of the same key in these sources.
        good_rows as (
            select
                {key}, source_line, file, row_sha256, lag(row_sha256) over earlier as before, lag(file) over earlier as before_file
                {carried}{before}
            from identified where problem is null
            window earlier as (partition by {key} order by source_line)
        ),

        -- One row per key of these sources that was landed before: its latest row.
        landed_rows as (
            select
                {key}, {latest_sha256} as row_sha256, max(batch) filter (where feed = $feed) as own_batch,
                max(batch) filter (where feed <> $feed) as other_batch{latest}
            from landing.happy_returns_{kind.name}
            semi join good_rows using ({key})
            group by {key}
        )

        select
            good_rows.source_line, good_rows.before is not null or landed_rows.row_sha256 is not null as is_known,
            {identity.names_another(kind)} as names_another
        from good_rows
        left join landed_rows using ({key})
        where (
            good_rows.row_sha256 is distinct from coalesce(good_rows.before, landed_rows.row_sha256) or ({chosen_again})
        ) and not {again}
        """,  # noqa: S608 - our own names
        {"feed": rows.feed},
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


@dataclass
class Account:
    """What became of the rows of one source. ``wrong``: line in it, column, reason and word of each that is rejected."""

    counts: Counts = field(default_factory=Counts)
    first_at: datetime | None = None
    last_at: datetime | None = None
    wrong: list[tuple[int, str | None, str, str | None]] = field(default_factory=list)


def accounts(connection: Connection) -> Mapping[int, Account]:
    """By place: what became of the rows of each source; those that brought no row are not in it."""
    found: dict[int, Account] = {}
    for place, read, refused, landed, first, last in connection.execute(
        """
        select
            file, count(*), count(*) filter (where problem is not null), count(new_lines.source_line),
            min(source_time) filter (where new_lines.source_line is not null),
            max(source_time) filter (where new_lines.source_line is not null)
        from identified
        left join new_lines using (source_line)
        group by file
        """
    ).fetchall():
        found[place] = Account(Counts(read, landed, refused, read - refused - landed), first, last)
    for place, line, column, why, word in connection.execute(
        """
        select file, source_line - members.base, problem.column_name, problem.reason, problem.word
        from identified
        join members on members.place = identified.file
        where problem is not null
        """
    ).fetchall():
        found[place].wrong.append((line, column, why, word))
    return found


def conflicting(connection: Connection, kind: Kind) -> dict[int, int]:
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
            where feed = 'files'
            group by {key}
            having min(row_sha256) <> max(row_sha256)
        ),

        later_rows as (
            select batch, row_sha256 <> min(row_sha256) over earlier or row_sha256 <> max(row_sha256) over earlier as differs
            from landing.happy_returns_{kind.name}
            semi join contradicted_keys using ({key})
            where feed = 'files'
            window earlier as (
                partition by {key} order by batch, source_line rows between unbounded preceding and 1 preceding
            )
        )

        select batch, count(*) from later_rows where batch in (select batch from members) and differs group by batch
        """  # noqa: S608 - our own names
    ).fetchall()
    return dict(rows)
