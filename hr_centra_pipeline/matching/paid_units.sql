-- makes: paid_units
-- kind:  step
-- grain: one row per unit and the refund row that pays it

-- One row per unit and the refund row that pays it, with the row's fee shared over its units when it is per item: of several rows
-- the one that is nearest to when the unit says that it was refunded; as long as it says nothing, the earliest. What a row says in
-- another currency than its unit's order touches no amount: such a row pays no unit, and is no `refund_id`. That its money was
-- given as a gift card, or will be, counts all the same.
create or replace temp table paid_units as
with
rows_of_units as (
    select
        refund_units.return_item_id, refunds.refund_id, refunds.order_number, refunds.currency, items.refunded_at,
        coalesce(refunds.issued_at, refunds.source_time) as row_at,
        bool_or(refunds.gift_card_id is not null and refunds.status = 'issued') over same_unit as is_given_already,
        bool_or(refunds.gift_card_id is not null and refunds.status = 'pending') over same_unit as is_card_pending,
        (refunds.currency is not distinct from coalesce(orders.currency, refunds.currency)) as is_in_its_currency,
        refunds.status, refunds.fee_basis,
        coalesce(refunds.processing_fee, 0) as processing_fee,
        coalesce(refunds.item_subtotal, 0) - coalesce(refunds.discount, 0) + coalesce(refunds.tax, 0) as told_for_items,
        count(*) over (partition by refunds.refund_id) as units,
        row_number() over (partition by refunds.refund_id order by refund_units.return_item_id) as place
    from staging.refund_units
    join staging.refunds using (refund_id)
    left join staging.return_items as items using (return_item_id)
    left join staging.orders as orders on orders.order_number = items.order_number
    where refunds.status in ('issued', 'pending') and (
            refunds.order_number in (select order_number from matching.orders_in_play)
            or items.order_number in (select order_number from matching.orders_in_play)
        )
    window same_unit as (partition by refund_units.return_item_id)
),

-- One row per unit: the refund row nearest to when the unit says that it was refunded.
nearest_rows as (
    from rows_of_units
    qualify row_number() over (
            partition by return_item_id
            order by
                is_in_its_currency desc, coalesce(abs(date_diff('second', refunded_at, row_at)), 0), row_at, refund_id
        ) = 1
)

select
    return_item_id, is_given_already, is_card_pending,
    case when is_in_its_currency then refund_id end as refund_id,
    case when is_in_its_currency then currency end as currency,
    case when is_in_its_currency then row_at end as row_at,
    case when is_in_its_currency then status end as status,
    case when is_in_its_currency then told_for_items end as told_for_items,
    case when is_in_its_currency and fee_basis = 'item' then
            share_of(processing_fee, place, units, currency) - share_of(processing_fee, place - 1, units, currency)
    end as item_fee
from nearest_rows;
