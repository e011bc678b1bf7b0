-- makes: shipped_lines, free_pieces
-- kind:  step
-- grain: one row per shipped piece of the active orders that no unit has yet
-- loop:  push.ledger: a match is frozen once an effect of its unit was sent

-- One row per active order: how many pieces of a line are looked at, one more than it has units. A line may have millions.
create or replace temp table most_pieces as
select orders.order_number, count(items.return_item_id) + 1 as pieces
from matching.orders_in_play as orders
left join items_in_play as items using (order_number)
group by orders.order_number;

-- One row per shipped line, with how many pieces it has: each is a slot. Of a bundle the parts are shipped.
create or replace temp table shipped_lines as
select
    shipment_lines.shipment_line_id,
    shipment_lines.shipment_id,
    lines.order_number,
    lines.order_line_id,
    article_of(lines.sku, lines.ean, lines.upc, lines.order_line_id) as article,
    shipments.shipped_at,
    lines.bundle_line_id is not null as is_part,
    shipment_lines.quantity,
    shipment_lines.unit_price,
    shipment_lines.unit_tax,
    coalesce(shipment_lines.unit_tax_added, 0) as unit_tax_added,
    shipment_lines.currency
from staging.shipment_lines
join staging.shipments using (shipment_id)
join staging.order_lines as lines on lines.order_line_id = shipment_lines.order_line_id
semi join matching.orders_in_play on orders_in_play.order_number = lines.order_number
where shipments.is_shipped and lines.is_product and shipment_lines.quantity > 0;

-- One row per free piece, as many of a line as there may be units: without those that are taken before anybody is placed. What
-- others returned and nobody adopted is gone.
create or replace temp table free_pieces as
with
taken_pieces as (
    select shipment_line_id, sum(pieces) as pieces from (
        select shipment_line_id, count(*) as pieces from known_places group by all
        union all
        -- Credited here, before Happy Returns corrected which order it is of.
        select shipment_line_id, count(distinct return_item_id)
        from push.ledger
        semi join matching.orders_in_play using (order_number)
        anti join known_places using (return_item_id)
        where gives_value(effect_kind) and not is_foreign
            and state in ('sending', 'unknown', 'confirmed') and shipment_line_id is not null
        group by all
        union all
        select shipment_line_id, sum(quantity) from foreign_lines group by all
    ) group by shipment_line_id
),

lines_left as (
    select shipped_lines.*, coalesce(taken_pieces.pieces, 0)::bigint as taken
    from shipped_lines
    left join taken_pieces using (shipment_line_id)
)

select lines_left.* exclude (quantity, taken), numbers.piece
from lines_left
join most_pieces using (order_number)
cross join
    range(lines_left.taken + 1, least(lines_left.quantity, lines_left.taken + most_pieces.pieces) + 1)
        as numbers (piece);
