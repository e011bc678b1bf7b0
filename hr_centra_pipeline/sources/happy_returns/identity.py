"""Which unit a row is about: Happy Returns' item id, else a stable hash of return, order, line and unit offset."""

from __future__ import annotations

from hr_centra_pipeline.sources.happy_returns.export_kinds import Kind
from hr_centra_pipeline.warehouse.database import Connection

ABOUT: dict[str, tuple[str, ...]] = {"items": ("return_id", "order_number"), "refunds": ("return_id", "order_number")}
"""What an id names besides itself. Its return is for good; its order may be corrected by a later file."""


def names_another(kind: Kind) -> str:
    """SQL: a row is about another return than the row before it of its key, or in the same file about another order."""
    if kind.name not in ABOUT:
        return "false"
    return """(
        coalesce(good_rows.before_return_id, landed_rows.latest_return_id) is not null
            and good_rows.return_id is distinct from coalesce(good_rows.before_return_id, landed_rows.latest_return_id)
        or good_rows.before_file = good_rows.file and good_rows.order_number is distinct from good_rows.before_order_number
    )"""


def refuse_contradictions(connection: Connection, kind: Kind) -> bool:
    """Refuse rows whose id names several returns or, in one file, several orders; answers whether there were any.

    What was landed first keeps the id. In files that contradict themselves nobody can say which row is right: all are refused.
    """
    if kind.name not in ABOUT:
        return False
    found = connection.execute("select exists (from new_lines where names_another)").fetchone()
    if not found or not found[0]:
        return False
    (key,) = kind.key
    column = "item_id" if kind.name == "items" else key
    connection.execute(
        f"""
        create or replace temp table contradictions as
        with
        suspects as (
            select distinct {key} from identified semi join (from new_lines where names_another) as others using (source_line)
        ),

        -- One row per suspect that was landed: what it names.
        landed_suspects as (
            select {key}, arg_max(return_id, (batch, source_line)) as return_id
            from landing.happy_returns_{kind.name} semi join suspects using ({key})
            group by {key}
        ),

        -- One row per good row of a suspect; whether its file contradicts itself.
        claims as (
            select
                identified.source_line, identified.{key}, identified.return_id, identified.order_number,
                min(identified.return_id) over of_file <> max(identified.return_id) over of_file as names_two_returns,
                min(identified.order_number) over of_file <> max(identified.order_number) over of_file as names_two_orders
            from identified
            semi join suspects using ({key})
            where identified.problem is null
            window of_file as (partition by identified.{key}, identified.file)
        ),

        -- One row per suspect that was not landed: what the first file that is sure of it names.
        first_claims as (
            select {key}, arg_min(return_id, source_line) as return_id
            from claims anti join landed_suspects using ({key})
            where not names_two_returns and not names_two_orders
            group by {key}
        ),

        known_suspects as (from landed_suspects union all from first_claims)

        select
            claims.source_line,
            case
                when known_suspects.return_id <> claims.return_id
                    then 'names return ' || claims.return_id || ', and was landed for ' || known_suspects.return_id
                when names_two_orders or names_two_returns and landed_suspects.return_id is null
                    then 'names several returns or orders in this file, one of them ' || claims.return_id
                        || ' of ' || claims.order_number
            end as reason
        from claims
        left join known_suspects using ({key})
        left join landed_suspects using ({key})
        """  # noqa: S608 - our own names
    )
    connection.execute(
        f"""
        update identified set problem = struct_pack(column_name := '{column}', reason := contradictions.reason, word := null)
        from contradictions
        where contradictions.source_line = identified.source_line and contradictions.reason is not null
        """  # noqa: S608 - our own names
    )
    return True


def identify(connection: Connection, kind: Kind) -> None:
    """``identified``: one narrow row per row of ``lines``: its key, of items and shipments with their unit, its problem."""
    match kind.name:
        case "items":
            connection.execute(_ITEMS, {"no_place": NO_PLACE})
        case "shipments":
            connection.execute(_SHIPMENTS)
        case _:
            key = ", ".join(kind.key)
            about = "".join(f", {column}" for column in ABOUT.get(kind.name, ()))
            connection.execute(
                f"""
                create or replace temp table identified as
                select source_line, file, {key}{about}, row_sha256, source_time, problem from lines
                """  # noqa: S608 - our own names
            )


UNKNOWN_UNIT = "is missing, and no feed knows the unit yet"
"""Why a row of an event is rejected that another one may make sense of."""


NO_PLACE = "is missing, its line id has no unit offset, and the file does not hold the whole return"
"""Why a row is rejected that does not say which unit of its line it is about."""


def refuse_unknown_units(connection: Connection) -> None:
    """Refuse rows that do not say what the shopper chose, of units of which nothing else says so, either."""
    connection.execute(
        """
        update identified set problem = struct_pack(column_name := 'refund_type', reason := $reason, word := null)
        from lines
        where lines.source_line = identified.source_line and identified.problem is null and lines.refund_type is null
            and identified.return_item_id not in (
                select return_item_id from landing.happy_returns_items
                where refund_type is not null and return_item_id in (
                    select units.return_item_id from identified as units join lines using (source_line)
                    where units.return_item_id is not null and lines.refund_type is null
                )
                union all
                select others.return_item_id
                from identified as others
                join lines as told using (source_line)
                where others.problem is null and told.refund_type is not null and others.return_item_id is not null
            )
        """,
        {"reason": UNKNOWN_UNIT},
    )


# A row has a place where its unit's offset on its line is known: reported, or counted in a file that holds the whole return.
# An id that was landed keeps its unit for good. A place that was landed keeps its unit, too, unless both rows have ids
# and these differ. Only then a hash is made; the id that turns up later for it is its alias.
_ITEMS = """
create or replace temp table identified as
with
-- One row per return and order: how many units it has, as last reported before this file.
return_sizes as (
    select return_id, order_number, arg_max(items_total, (source_time, batch, source_line)) as items_total
    from landing.happy_returns_returns
    where exists (from checked where item_id is null) and batch < (select max(batch) from members)
    group by all
),

-- One row per incoming row without id or offset whose file holds its whole return: its place by counting.
counted_places as (
    select source_line, row_number() over (
        partition by return_id, order_number, coalesce(base_line_item_id, sku, upc) order by source_line
    ) - 1 as place
    from lines
    join return_sizes using (return_id, order_number)
    where exists (from checked where item_id is null)
    qualify count(*) over (partition by file, return_id, order_number) = return_sizes.items_total
),

-- One row per incoming row, with its unit's place on its line where that is known.
incoming_rows as (
    select
        source_line, file, item_id, return_id, order_number, coalesce(base_line_item_id, sku, upc) as line_key,
        coalesce(lines.unit_offset, counted_places.place) as unit_offset, row_sha256, source_time, problem
    from lines
    left join counted_places using (source_line)
),

-- One row per id that was landed.
known_ids as (
    select item_id, any_value(return_item_id) as return_item_id
    from landing.happy_returns_items
    semi join checked using (item_id)
    group by item_id
),

-- One row per place that was landed; the ids that it had.
known_places as (
    select
        return_id, order_number, coalesce(base_line_item_id, sku, upc) as line_key, unit_offset,
        arg_max(return_item_id, (batch, source_line)) as return_item_id,
        list(distinct item_id) as item_ids
    from landing.happy_returns_items
    semi join checked using (return_id, order_number)
    where unit_offset is not null and coalesce(base_line_item_id, sku, upc) is not null
    group by all
),

-- One row per place of this file for which one row has no id, and all others have the same.
places_without_ids as (
    select return_id, order_number, line_key, unit_offset
    from incoming_rows
    where unit_offset is not null and line_key is not null
    group by all
    having count(*) > count(item_id) and count(distinct item_id) <= 1
),

-- One row per place that rows of these files claim with several ids: neither can be the one that was landed without any.
contested_places as (
    select return_id, order_number, line_key, unit_offset
    from incoming_rows
    where unit_offset is not null and item_id is not null and exists (from known_places)
    group by all
    having count(distinct item_id) > 1
),

-- One row per incoming row: the unit, as far as it can be known.
identified_rows as (
    select
        incoming.source_line, incoming.file, incoming.return_id, incoming.order_number, incoming.unit_offset,
        incoming.row_sha256, incoming.source_time, incoming.problem,
        coalesce(
            known_ids.return_item_id,
            case when incoming.item_id is null
                    or len(list_filter(known_places.item_ids, id -> id is not null)) = 0 and contested_places.line_key is null
                then known_places.return_item_id end,
            case when incoming.item_id is null and incoming.unit_offset is null then null
                when incoming.item_id is null or places_without_ids.line_key is not null
                then 'unit-' || substr(sha256(concat_ws(
                    chr(31), incoming.return_id, incoming.order_number, incoming.line_key, incoming.unit_offset::varchar
                )), 1, 20)
                else incoming.item_id end
        ) as return_item_id
    from incoming_rows as incoming
    left join known_ids using (item_id)
    left join known_places using (return_id, order_number, line_key, unit_offset)
    left join places_without_ids using (return_id, order_number, line_key, unit_offset)
    left join contested_places using (return_id, order_number, line_key, unit_offset)
)

select * replace (
    coalesce(problem, case when return_item_id is null then struct_pack(
        column_name := 'item_id',
        reason := $no_place, word := null
    ) end) as problem
)
from identified_rows
"""

# The unit's id may be an alias, and the items file that says so may have come before or after: staging looks again.
_SHIPMENTS = """
create or replace temp table identified as
select
    source_line, file, shipment_id, item_id as return_item_id, row_sha256, source_time,
    coalesce(problem, case when item_id is null then struct_pack(
        column_name := 'item_id', reason := 'is missing', word := null
    ) end) as problem
from lines
"""
