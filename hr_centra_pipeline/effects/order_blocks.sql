-- makes: order_blocks, uncaptured_shipments, unplaced_gift_cards, rest_text
-- kind:  step
-- grain: one row per order: why nothing may be paid on it

-- What may keep value from being given back: of an order, a shipment, and a return.

-- Of a value that was given back in part: how much, and what is left for a person to decide about.
create or replace temp macro rest_text(
    given, amount, currency) as case when given > 0 and given < amount
        then
            ': '
            || money_text(given, currency)
            || ' of '
            || money_text(amount, currency)
            || '; '
            || money_text(amount - given, currency)
            || ' is left'
    else ''
end;

create or replace temp table order_blocks as
select
    orders.order_number,
    orders.captured <= 0 and orders.capture_pending <= 0 as nothing_captured,
    orders.captured <= 0 and orders.capture_pending > 0 as waits_for_capture,
    orders.has_unknown_payment,
    exists(
        select 1 from staging.payment_entries as entries
        where entries.order_number = orders.order_number and entries.centra_return_id is null
            and not exists (
                select 1
                from push.ties
                where ties.what = 'refund'
                    and ties.centra_id in (entries.entry_id::varchar, entries.request_id::varchar)
            )
            and is_given_back(entries.money)
    ) as has_untied_refund,
    orders.discounts > 0 and (
        select count(*) from staging.shipments where shipments.order_number = orders.order_number
    ) > 1 as has_shared_voucher,
    holds.chargeback_abroad,
    holds.chargeback_code,
    holds.booking_code
from staging.orders
left join order_holds as holds using (order_number)
semi join matching.orders_in_play using (order_number);

-- One row per shipment whose money was not charged, as far as anybody can say: Centra has it as not captured, and what was captured
-- on its order does not reach for all of those beside the shipments that are. What others have paid is not given back for it; which of
-- several was charged is not known, so that each of them waits.
create or replace temp table uncaptured_shipments as
select shipment_id, capture_pending > 0 as is_requested
from (
    select
        shipments.shipment_id, shipments.is_captured, orders.captured, orders.capture_pending,
        sum(shipments.grand_total) filter (where shipments.is_captured)
            over (partition by shipments.order_number)
            as charged,
        sum(shipments.grand_total) over (partition by shipments.order_number) as to_charge
    from staging.shipments as shipments
    join staging.orders as orders using (order_number)
    semi join matching.orders_in_play using (order_number)
)
where not is_captured and charged > 0 and captured < to_charge;

-- One row per return on an order of which a refund row reports a gift card, and pays none of its units (it was issued before they
-- were approved, or there is none of its type): the money of one of them was given, or will be, and nobody knows of which.
create or replace temp table unplaced_gift_cards as
select
    refunds.return_id,
    refunds.order_number,
    min(refunds.refund_id) filter (where refunds.status = 'issued') as refund_id,
    bool_or(refunds.status = 'pending' and refunds.refund_type <> 'exchange') as is_pending
from staging.refunds
semi join matching.orders_in_play using (order_number)
anti join staging.refund_units as units on units.refund_id = refunds.refund_id
where refunds.status in ('issued', 'pending') and refunds.gift_card_id is not null
group by all;
