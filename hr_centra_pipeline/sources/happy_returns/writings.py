"""One id in two writings (case, width, kind of hyphen) would be two units, and paid twice: the second writing is refused."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from hr_centra_pipeline.sources.happy_returns.export_kinds import Kind
from hr_centra_pipeline.warehouse.database import Connection


class _Id(NamedTuple):
    """A column that holds ids of one kind; ``establishes``: what it names is known from then on, else it only refers to it."""

    column: str
    kind: str
    establishes: bool = True

    @property
    def ids(self) -> str:
        """SQL: the ids in it, one a row."""
        return (
            "unnest(regexp_split_to_array(trim(item_ids), '[\\s,;|]+'))" if self.column == "item_ids" else self.column
        )


_COLUMNS: dict[str, tuple[_Id, ...]] = {
    "returns": (_Id("return_id", "return"),),
    "items": (_Id("item_id", "item"), _Id("return_id", "return")),
    "refunds": (
        _Id("refund_id", "refund"),
        _Id("return_id", "return", establishes=False),
        _Id("item_ids", "item", establishes=False),
    ),
    "shipments": (_Id("shipment_id", "shipment"), _Id("item_id", "item", establishes=False)),
    "bags": (_Id("return_id", "return", establishes=False),),
}


def folded(text: str) -> str:
    """An id as it is compared: without width, case, forms of letters and kinds of hyphens; and what cannot be seen."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    shown = (letter for letter in plain if unicodedata.category(letter) != "Cf")
    return "".join(
        "-" if unicodedata.category(letter) == "Pd" or letter == "\u2212" else letter for letter in shown
    ).lower()


def refuse_other_writings(connection: Connection, kind: Kind) -> bool:
    """Refuse new rows with an id that differs from a known one only in its writing; answers whether there were any.

    What was landed first keeps its writing, and in files that are landed together the first row. Almost every id is what it
    folds to: only the others are kept (``landing.folded_ids``) and compared.
    """
    _find_odd(connection, kind)
    row = connection.execute("select exists (from odd_ids) or exists (from landing.folded_ids)").fetchone()
    names_line = kind.name == "items" and _some_are_nameless(connection)
    if not (row and row[0]) and not names_line:
        return False
    connection.execute(_other_writings(kind))
    if names_line:
        connection.execute(_OTHER_LINES)
    connection.execute(
        """
        update identified set problem = struct_pack(column_name := other.column_name, reason := other.reason, word := null)
        from (
            select source_line, min_by(column_name, reason) as column_name, min(reason) as reason
            from other_writings group by source_line
        ) as other
        where other.source_line = identified.source_line
        """
    )
    establishing = [one.kind for one in _COLUMNS[kind.name] if one.establishes]
    connection.execute(
        """
        insert or ignore into landing.folded_ids
        select distinct kind, folded, id from claims
        where id <> folded and list_contains($kinds::varchar[], kind)
            and source_line not in (select source_line from other_writings)
        """,
        {"kinds": establishing},
    )
    found = connection.execute("select exists (from other_writings)").fetchone()
    return bool(found and found[0])


def _some_are_nameless(connection: Connection) -> bool:
    row = connection.execute("select exists (from checked where item_id is null)").fetchone()
    return bool(row and row[0])


def _find_odd(connection: Connection, kind: Kind) -> None:
    """``odd_ids``: one row per id of the new rows that is not what it folds to."""
    each = " union all ".join(
        f"""select '{one.kind}' as kind, id
            from (
                select {one.ids} as id from lines semi join new_lines using (source_line)
                where {one.column} <> lower({one.column}) or strlen({one.column}) <> length({one.column})
            )"""  # noqa: S608 - our own names
        for one in _COLUMNS[kind.name]
    )
    connection.execute(
        f"""
        create or replace temp table odd_ids as
        select distinct kind, id, lower(id) as folded from ({each})
        where id <> lower(id) or strlen(id) <> length(id)
        """  # noqa: S608 - our own names
    )
    # DuckDB knows no NFKC. Ids beyond ASCII are few.
    beyond = connection.execute("select distinct id from odd_ids where strlen(id) <> length(id)").fetchall()
    if beyond:
        connection.execute(
            """
            update odd_ids set folded = found.folded
            from (select unnest($ids::varchar[]) as id, unnest($folded::varchar[]) as folded) as found
            where found.id = odd_ids.id
            """,
            {"ids": [text for (text,) in beyond], "folded": [folded(text) for (text,) in beyond]},
        )


def _other_writings(kind: Kind) -> str:
    """SQL for ``claims``, one row per new row and id of it, and ``other_writings``: those of a known id, with the reason."""
    columns = _COLUMNS[kind.name]
    claims = " union all ".join(
        f"""select source_line, '{one.column}' as column_name, '{one.kind}' as kind, {one.ids} as id
            from lines semi join new_lines using (source_line) where {one.column} is not null"""  # noqa: S608 - our own names
        for one in columns
    )
    places = {
        "item": (("items", "item_id"),),
        "return": (("returns", "return_id"), ("items", "return_id")),
        "refund": (("refunds", "refund_id"),),
        "shipment": (("shipments", "shipment_id"),),
    }
    landed = " union ".join(
        f"""select '{of}' as kind, {column} as folded, {column} as id
            from landing.happy_returns_{name}
            where {column} in (select folded from claims where kind = '{of}')"""  # noqa: S608 - our own names
        for of in dict.fromkeys(one.kind for one in columns)
        for name, column in places[of]
    )
    return f"""
        create or replace temp table claims as
        select told.*, coalesce(odd_ids.folded, told.id) as folded
        from ({claims}) as told
        left join odd_ids using (kind, id)
        where (told.kind, coalesce(odd_ids.folded, told.id)) in (
            select (kind, folded) from odd_ids union all select (kind, folded) from landing.folded_ids
        );

        create or replace temp table other_writings as
        with
        -- One row per folded id that was landed, with its writings.
        known_writings as (
            select kind, folded, list(distinct id order by id) as ids
            from (
                {landed}
                union
                select kind, folded, id from landing.folded_ids
                where (kind, folded) in (select (kind, folded) from claims)
            )
            group by kind, folded
        ),

        -- The writing in these files that comes first_writings.
        first_writings as (select kind, folded, arg_min(id, source_line) as id from claims group by kind, folded)

        select
            claims.source_line, claims.column_name,
            'differs only in its letters'' case or form from ' || coalesce(known_writings.ids[1], first_writings.id)
                || ': ' || claims.id as reason
        from claims
        join first_writings using (kind, folded)
        left join known_writings using (kind, folded)
        where case
            when known_writings.ids is null then claims.id <> first_writings.id
            else not list_contains(known_writings.ids, claims.id)
        end;
    """  # noqa: S608 - our own names


# A unit without an id is known by its line, else its article: another writing of that would be another unit.
_OTHER_LINES = """
insert into other_writings
with
rows_without_ids as (
    select source_line, return_id, order_number, coalesce(base_line_item_id, sku, upc) as line_key
    from lines semi join new_lines using (source_line)
    where item_id is null
),

known_lines as (
    select return_id, order_number, coalesce(base_line_item_id, sku, upc) as line_key, -1 as source_line
    from landing.happy_returns_items semi join rows_without_ids using (return_id, order_number)
    union all
    select return_id, order_number, coalesce(base_line_item_id, sku, upc), source_line
    from lines semi join new_lines using (source_line) semi join rows_without_ids using (return_id, order_number)
)

select
    rows_without_ids.source_line, 'order_line_item_id',
    'differs only in its letters'' case or form from ' || arg_min(known_lines.line_key, known_lines.source_line)
        || ': ' || rows_without_ids.line_key
from rows_without_ids
join known_lines on known_lines.return_id = rows_without_ids.return_id
    and known_lines.order_number = rows_without_ids.order_number
    and lower(known_lines.line_key) = lower(rows_without_ids.line_key)
group by rows_without_ids.source_line, rows_without_ids.line_key
having arg_min(known_lines.line_key, known_lines.source_line) <> rows_without_ids.line_key
    and not bool_or(known_lines.source_line < 0 and known_lines.line_key = rows_without_ids.line_key);
"""
