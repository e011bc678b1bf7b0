-- makes: items_in_play, claims, candidates, ambiguous_units, article_of
-- kind:  step
-- grain: one row per unit of the active orders and order line that it may be

-- Only the active orders are looked at, each with all of its units; what is settled keeps its place.

create or replace temp table items_in_play as
from staging.return_items semi join matching.orders_in_play using (order_number);

-- One row per active unit: how much has happened for its claim to a piece, and when it began. 0: none, since it was refused, or
-- its return is over and its goods never came.
create or replace temp table claims as
select
    return_item_id, return_created_at,
    case
        when not came and approved_at is null and return_status in ('expired', 'failed', 'canceled') then 0
        when policy.is_refused(disposition, approval_withdrawn_at, return_status, approved_at) then 0
        else 1 + came::bigint + (approved_at is not null)::bigint + (disposition is not null)::bigint
    end as strength,
    not came as never_came
from (
    select
        *,
        received_at is not null
        or hub_received_at is not null
        or warehouse_received_at is not null
        or disposition is not null
            as came
    from items_in_play
);

-- What a line is of: its SKU, else what else names an article.
create or replace temp macro article_of(sku, ean, upc, order_line_id) as coalesce(sku, ean, upc, order_line_id);

-- One row per unit and order line that it may be, with how it was recognised (the first way that fits wins).
create or replace temp table candidates as
with
line_fits as (
    select items.return_item_id, lines.order_line_id, 1 as rank, 'line_id' as matched_by
    from items_in_play as items
    join staging.order_lines as lines
        on lines.order_number = items.order_number and lines.order_line_id = items.base_line_item_id
    union all
    -- It names its bundle's line.
    select items.return_item_id, lines.order_line_id, 1, 'line_id'
    from items_in_play as items
    join
        staging.order_lines
            as lines
        on lines.order_number = items.order_number and lines.bundle_line_id = items.base_line_item_id
            and (
                lines.sku = items.sku or lines.ean in (items.upc, items.sku, items.label_barcode)
                or lines.upc in (items.upc, items.sku, items.label_barcode)
            )
    union all
    select items.return_item_id, lines.order_line_id, 2, 'sku'
    from items_in_play as items
    join staging.order_lines as lines on lines.order_number = items.order_number and lines.sku = items.sku
    union all
    select items.return_item_id, lines.order_line_id, 3, 'ean'
    from items_in_play as items
    join staging.order_lines as lines
        on lines.order_number = items.order_number and lines.ean in (items.upc, items.sku, items.label_barcode)
    union all
    select items.return_item_id, lines.order_line_id, 4, 'upc'
    from items_in_play as items
    join staging.order_lines as lines
        on lines.order_number = items.order_number and lines.upc in (items.upc, items.sku, items.label_barcode)
)

select return_item_id, order_line_id, matched_by
from line_fits
qualify rank = min(rank) over (partition by return_item_id);

-- One row per unit that fits lines of several articles, so that nobody can say which one it is.
create or replace temp table ambiguous_units as
select candidates.return_item_id
from candidates
join staging.order_lines as lines using (order_line_id)
where lines.is_product
group by candidates.return_item_id
having count(distinct article_of(lines.sku, lines.ean, lines.upc, lines.order_line_id)) > 1;
