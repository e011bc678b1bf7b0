-- makes: changed_orders, order_lines_as_shown
-- kind:  step
-- grain: one row per order that was landed since the watermark, and one per line of it

-- One row per order with a row above the watermark: as landed last.
create or replace temp table changed_orders as
select
    order_number, payload, updated_at, fetched_at,
    tax_mode_of(
        payload -> 'totals', has_taxed_lines(payload -> 'lines', 'lineValue', 'lineValueNet'),
        amount(payload -> 'grandTotal')
        = sum_of_counted(payload -> 'lines', 'lineValue') + amount(payload -> '$.totals.shipping')
        + amount(payload -> '$.totals.handling') - abs(amount(payload -> '$.totals.discounts'))
    ) as tax_mode
from landing.centra_orders
where order_number in (select order_number from landing.centra_orders where batch > $watermark)
qualify row_number() over (partition by order_number order by batch desc) = 1;

-- one row per line of a changed order
create or replace temp table order_lines_as_shown as
with
lines as (
    select
        order_number, tax_mode, unnest(items_of(payload -> 'lines')) as line,
        generate_subscripts(items_of(payload -> 'lines'), 1) as place
    from changed_orders
)

select
    line ->> '__typename' as kind,
    place,
    currency_of(line -> 'unitPrice') as currency,
    line ->> 'id' as order_line_id,
    order_number,
    line ->> '$.productSize.SKU' as sku,
    line ->> '$.productSize.EAN' as ean,
    line ->> '$.productSize.UPC' as upc,
    line ->> 'productName' as product_name,
    (line ->> '__typename') = 'ProductOrderLine' as is_product,
    cast(line ->> 'quantity' as bigint) as quantity,
    cast(line ->> 'cancelledQuantity' as bigint) as cancelled_quantity,
    cast(line ->> 'returnedQuantity' as bigint) as returned_quantity,
    paid_of(amount(line -> 'unitPrice'), amount(line -> 'unitPriceNet'), tax_mode) as unit_price,
    paid_of(amount(line -> 'unitOriginalPrice'), amount(line -> 'unitOriginalPriceNet'), tax_mode)
        as unit_original_price,
    added_to(amount(line -> 'unitPrice'), amount(line -> 'unitPriceNet'), tax_mode) as unit_tax_added,
    paid_of(amount(line -> 'lineValue'), amount(line -> 'lineValueNet'), tax_mode) as line_value,
    added_to(amount(line -> 'lineValue'), amount(line -> 'lineValueNet'), tax_mode) as line_tax_added,
    cast(line ->> 'taxPercent' as decimal(18, 4)) as tax_percent
from lines;
