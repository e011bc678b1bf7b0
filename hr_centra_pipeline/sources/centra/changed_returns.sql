-- makes: changed_returns
-- kind:  step
-- grain: one row per Return that was landed since the watermark

-- one row per Return that changed or was found deleted: as landed last
create or replace temp table changed_returns as
select
    centra_return_id, order_number, payload, is_deleted, created_at, fetched_at,
    tax_mode_of(
        payload -> 'totals', has_taxed_lines(payload -> 'lines', 'lineValue', 'lineValueNet'),
        amount(payload -> 'grandTotal')
        = sum_of(payload -> 'lines', 'lineValue') + amount(payload -> '$.totals.shipping')
        + amount(payload -> '$.totals.handling') - abs(amount(payload -> '$.totals.discounts'))
        - abs(amount(payload -> '$.totals.returnCost'))
    ) as tax_mode
from landing.centra_returns
where centra_return_id in (select centra_return_id from landing.centra_returns where batch > $watermark)
    or order_number in (select order_number from changed_shipments semi join staging.bundles using (order_number))
qualify row_number() over (partition by centra_return_id order by batch desc) = 1;
