-- makes: effects.chargebacks, chargeback_amounts
-- changes: values_given
-- kind:  table
-- grain: one row per order and currency in which a provider took money back

-- A chargeback (less what of it was won back) is about an order and names no unit: it counts on the returned units for which
-- something is still to be given, those first whose credit is due, in the order of ids, up to what they cost, so that nothing is
-- given on top of it. Only what blocks a credit that is due is counted: the rest the payouts report as given twice.
create or replace temp table chargeback_amounts as
select
    lines.order_number,
    lines.currency,
    -sum(lines.gross_amount) as amount,
    orders.currency <> lines.currency as is_abroad
from bookings_of_orders as lines
semi join matching.orders_in_play on orders_in_play.order_number = lines.order_number
join staging.orders as orders on orders.order_number = lines.order_number
where lines.line_type in ('chargeback', 'chargeback_reversed')
group by all having -sum(lines.gross_amount) > 0;

insert into values_given by name
with
amounts_left as (
    select
        units.return_item_id, units.order_number, units.currency, units.is_due,
        more_than(units.paid - coalesce(sum(values_given.amount), 0), units.slack) as amount
    from valued_units as units
    semi join
        chargeback_amounts
        on chargeback_amounts.order_number = units.order_number and chargeback_amounts.currency = units.currency
    left join values_given using (return_item_id)
    group by units.return_item_id, units.order_number, units.currency, units.is_due, units.paid, units.slack
),

running_amounts as (
    select
        *,
        sum(amount) over (partition by order_number, currency order by is_due desc, return_item_id) - amount as before
    from amounts_left
)

select
    return_item_id,
    'chargeback' as way,
    false as is_in_doubt,
    least(running_amounts.amount, chargeback_amounts.amount - before) as amount
from running_amounts
join chargeback_amounts using (order_number, currency)
where running_amounts.amount > 0 and chargeback_amounts.amount > before;

delete from effects.chargebacks where order_number in (select order_number from matching.orders_in_play);
insert into effects.chargebacks by name
select chargeback_amounts.*, coalesce(counted_chargebacks.amount, 0)::decimal(18, 4) as counted
from chargeback_amounts
left join (
    select units.order_number, units.currency, sum(values_given.amount) as amount
    from values_given join valued_units as units using (return_item_id)
    where values_given.way = 'chargeback' and units.is_due
    group by units.order_number, units.currency
) as counted_chargebacks using (order_number, currency);
