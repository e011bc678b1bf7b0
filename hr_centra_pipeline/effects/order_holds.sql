-- makes: order_holds
-- kind:  step
-- grain: one row per order on which nothing more is given before a person has looked at what was settled

-- One row per order on which nothing more is given before a person has looked at what was settled: how much of it a chargeback in
-- another currency took back is not known, nor what a line means that nobody can read.
create or replace temp table order_holds as
select
    order_number,
    string_agg(money_text(amount, currency), ' and ' order by currency) as chargeback_abroad,
    'chargeback_abroad ' || chargeback_abroad as chargeback_code,
    case when bool_or(is_unknown) then
            'unknown_booking ' || string_agg(payout_line_id, ' ' order by payout_line_id) filter (where is_unknown)
    end as booking_code
from (
    select order_number, currency, amount, false as is_unknown from chargeback_amounts where is_abroad
    union all by name
    select order_number, true as is_unknown, payout_line_id::varchar as payout_line_id
    from bookings_of_orders
    where line_type = 'unknown' and order_number is not null
)
group by order_number;
