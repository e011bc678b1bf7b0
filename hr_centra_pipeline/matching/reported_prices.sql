-- makes: reported_prices
-- kind:  step
-- grain: one row per unit of an article with several prices, and the price that its refund row reports

-- One row per unit of an article with several prices, and the price that its refund row reports: what the row gives for its items,
-- less those of its other units whose price is known, is as much as pieces of that price cost.
create or replace temp table reported_prices as
with
units_of_several_prices as (
    select open_units.return_item_id, order_number, article
    from open_units
    join (
        select order_number, article from open_pieces group by all having count(distinct unit_price) > 1
    ) as several using (order_number, article)
),

rows_of_units as (
    select return_item_id, refund_id, currency, told_for_items as told
    from paid_units
    semi join items_in_play using (return_item_id)
    where refund_id is not null
),

-- One row per unit whose place, or at least its price, is known.
known_prices as (
    select open_units.return_item_id, any_value(open_pieces.paid) as paid
    from open_units
    join open_pieces using (order_number, article)
    anti join units_of_several_prices using (return_item_id)
    group by open_units.return_item_id
    union all
    select places.return_item_id, lines.paid
    from (
        select return_item_id, shipment_line_id from known_places
        union all
        select return_item_id, shipment_line_id from adoptions
        union all
        select return_item_id, shipment_line_id from places_by_tie
        union all
        select return_item_id, shipment_line_id from places_by_line
    ) as places
    join line_prices as lines using (shipment_line_id)
),

row_rests as (
    select
        rows_of_units.refund_id, any_value(rows_of_units.currency) as currency, any_value(told) as told,
        any_value(told) - coalesce(sum(known_prices.paid), 0) as amount,
        count(units_of_several_prices.return_item_id) as units,
        count(*) as all_units
    from rows_of_units
    left join known_prices on known_prices.return_item_id = rows_of_units.return_item_id
    left join units_of_several_prices on units_of_several_prices.return_item_id = rows_of_units.return_item_id
    group by rows_of_units.refund_id
    having count(units_of_several_prices.return_item_id) > 0
        and count(units_of_several_prices.return_item_id) + count(known_prices.return_item_id) = count(*)
),

fitting_prices as (
    select
        units.return_item_id,
        open_pieces.unit_price,
        min(abs(rows_left.units * open_pieces.paid - rows_left.amount)) as off
    from units_of_several_prices as units
    join rows_of_units using (return_item_id)
    join row_rests as rows_left using (refund_id)
    join open_pieces
        on open_pieces.order_number = units.order_number and open_pieces.article = units.article
            and open_pieces.currency = rows_left.currency
    join staging.orders as orders on orders.order_number = units.order_number
    left join policy.tolerance on tolerance.currency = rows_left.currency
    where abs(rows_left.units * open_pieces.paid - rows_left.amount) <= greatest(
            rows_left.all_units * smallest_amount(rows_left.currency),
            coalesce(tolerance.absolute, 0),
            coalesce(share_of(rows_left.told, tolerance.percent, 100::decimal(18, 4), rows_left.currency), 0),
            coalesce(rows_left.units * policy.tax_slack(orders.tax_mode, open_pieces.unit_tax, rows_left.currency), 0)
        )
    group by units.return_item_id, open_pieces.unit_price
)

select return_item_id, any_value(unit_price) as unit_price
from (from fitting_prices qualify rank() over (partition by return_item_id order by off) = 1)
group by return_item_id having count(*) = 1;
