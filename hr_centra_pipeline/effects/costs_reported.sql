-- makes: costs_reported
-- kind:  step
-- grain: one row per return on an order: the fee and shipping that Happy Returns reports for it

-- One row per return on an order of which refund rows report its costs, in the order's own currency and rounded to what can be paid,
-- the one place before anything is planned: the shipping that is given back, the fee of the whole return, and those of its units.
-- Of several rows that name one unit only the one that pays it counts. A row for which no unit is left, since others pay them all,
-- reports the same goods again; one that reports no goods is about costs alone.
create or replace temp table costs_reported as
with
-- One row per return, order and refund type with a unit that no refund row pays.
unpaid_units as (
    select distinct return_id, order_number, refund_type from staging.return_items
    semi join matching.orders_in_play using (order_number)
    anti join (from paid_units where refund_id is not null) as paid using (return_item_id)
),

rows_that_count as (
    select refunds.*
    from staging.refunds
    semi join matching.orders_in_play using (order_number)
    left join unpaid_units using (return_id, order_number, refund_type)
    where refunds.status in ('issued', 'pending') and refunds.refund_type = 'refund' and (
            refunds.refund_id in (select refund_id from paid_units where refund_id is not null)
            or (
                refunds.refund_id not in (select refund_id from staging.refund_units)
                and (unpaid_units.return_id is not null or coalesce(refunds.item_subtotal, 0) = 0)
            )
        )
)

select
    return_id, order_number,
    sum(rounded_money(coalesce(shipping_refund, 0), currency))::decimal(18, 4) as shipping,
    coalesce(
        sum(rounded_money(coalesce(processing_fee, 0), currency)) filter (where fee_basis is distinct from 'item'), 0
    )::decimal(18, 4) as fee,
    coalesce(sum(of_units.fee), 0)::decimal(18, 4) as fee_of_units,
    min(coalesce(issued_at, source_time)) as told_at,
    min(refund_id) as refund_id
from rows_that_count
join staging.orders using (order_number, currency)
left join (select refund_id, sum(item_fee) as fee from paid_units group by refund_id) as of_units using (refund_id)
group by return_id, order_number;
