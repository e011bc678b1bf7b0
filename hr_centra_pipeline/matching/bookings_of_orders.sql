-- makes: bookings_of_orders, new_bookings
-- kind:  step
-- grain: one row per settlement line and the order that it is for

-- One row per settlement line that gives money back or takes it back, or that nobody can read, and the order that it is about:
-- the one that it names, else the one of its payment as Centra knows it, else the one of the bookings that share a reference with
-- it. Null where none is known.
create or replace temp table bookings_of_orders as
with
lines as (
    select lines.*, orders.order_number as named_order
    from staging.payout_lines as lines
    left join staging.orders as orders using (order_number)
    where lines.line_type in ('capture', 'refund', 'refund_reversed', 'chargeback', 'chargeback_reversed', 'unknown')
),

-- References of the lines that name no order of Centra's.
wanted_lines as (
    select distinct provider, unnest([payment_reference, reference]) as reference
    from lines where named_order is null and line_type <> 'capture'
),

-- One row per reference of a payment entry.
orders_by_payment as (
    select reference, min(order_number) as order_number
    from (
        select order_number, unnest(list_append(provider_references, external_reference)) as reference
        from staging.payment_entries
    )
    semi join wanted_lines using (reference)
    group by reference having count(distinct order_number) = 1
),

known_bookings as (
    select lines.*, coalesce(lines.named_order, of_payment.order_number, of_own.order_number) as known_order
    from lines
    left join orders_by_payment as of_payment on of_payment.reference = lines.payment_reference
    left join orders_by_payment as of_own on of_own.reference = lines.reference
),

-- One row per provider and reference of a booking whose order is known.
orders_by_booking as (
    select provider, reference, min(known_order) as order_number
    from (
        select provider, known_order, unnest([payment_reference, reference]) as reference
        from known_bookings
        where known_order is not null
    )
    semi join wanted_lines using (provider, reference)
    group by provider, reference having count(distinct known_order) = 1
)

select
    known_bookings.payout_line_id,
    known_bookings.line_type,
    known_bookings.currency,
    known_bookings.gross_amount,
    known_bookings.named_order is not null as names_order,
    coalesce(known_bookings.known_order, of_own.order_number, of_payment.order_number, known_bookings.order_number)
        as order_number
from known_bookings
left join
    orders_by_booking as of_own
    on of_own.provider = known_bookings.provider and of_own.reference = known_bookings.reference
left join
    orders_by_booking as of_payment
    on of_payment.provider = known_bookings.provider and of_payment.reference = known_bookings.payment_reference
where known_bookings.line_type <> 'capture';

-- Those of them that were landed, or read otherwise, since the last look.
create or replace temp table new_bookings as
select bookings.*
from bookings_of_orders as bookings
semi join (
    select lines.payout_line_id
    from staging.payout_lines as lines
    join landing.payout_lines as landed using (provider, account, payout_id, source_line)
    where landed.batch > $since
) as landed using (payout_line_id);
