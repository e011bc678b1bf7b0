-- makes: month_end.refund_liability, month_end.refund_liability_returns
-- kind:  table
-- grain: one row per month and currency: what is owed to shoppers; and one per return behind it

-- What is owed to shoppers: refundable by our policy, credited in Centra, paid. Exchanges owe goods, not money, and are left out,
-- but for those for which somebody gave the money instead: it became refundable and was credited when it was given.
-- Returns of before the cut-over that were due then are settled by those who did so before: they are in the opening of the
-- roll-forward, not here.
create or replace temp table liability_movements as
with
-- One row per return that was over before the cut-over.
returns_settled_before as (
    select units.return_id
    from effects.units as units
    cross join policy.parameters
    group by units.return_id, cutover
    having bool_and(units.is_after_cutover is false) and min(units.credit_due_at) < cutover
),

-- What was paid on the Return of an exchange, but where the replacement had been ordered before (and was not canceled): that is
-- too much, and not owed.
payments_instead as (
    select known_facts.*
    from known_facts
    left join (
        select return_item_id, min(confirmed_at) as replaced_at from push.ledger
        where effect_kind = 'exchange_order' and state = 'confirmed'
            and effect_key not in (select effect_key from effects.replacements where state = 'canceled')
        group by return_item_id
    ) as replacement_dates using (return_item_id)
    where side = 'centra' and component = 'exchange' and (replaced_at is null or replaced_at > happened_at)
),

facts as (
    from known_facts where side in ('expected', 'centra', 'paid') and component <> 'exchange'
    union all by name
    from payments_instead
    union all by name
    select * replace ('expected' as side) from payments_instead
)

select
    return_id, order_number, currency, posted_month as month,
    coalesce(sum(amount) filter (where side = 'expected'), 0) as refundable,
    coalesce(sum(amount) filter (where side = 'centra'), 0) as credited,
    coalesce(sum(amount) filter (where side = 'paid' and (source <> 'REFUND_FAILED')), 0) as paid,
    -coalesce(sum(amount) filter (where side = 'paid' and source = 'REFUND_FAILED'), 0) as failed,
    min(happened_at) as since
from facts
where return_id is null or return_id not in (select return_id from returns_settled_before)
group by all;

delete from month_end.refund_liability;
insert into month_end.refund_liability by name
with
months as (
    select
        strftime(unnest(generate_series(
            ((select min(month) from liability_movements) || '-01')::date,
            date_trunc('month', as_of)::date,
            interval 1 month
        )), '%Y-%m') as month
    from report_period
),

-- One row per month and currency.
month_sums as (
    select
        month,
        currency,
        sum(refundable) as refundable,
        sum(credited) as credited,
        sum(paid) as paid,
        sum(failed) as failed
    from liability_movements group by month, currency
),

-- The balance of each return after each month in which it moved, and until which month that holds.
balances as (
    select
        currency, month,
        lead(month, 1, '9999-12') over key as until_month,
        sum(refundable - paid + failed) over upto as balance,
        sum(refundable - credited) over upto as not_credited
    from liability_movements
    window
        key as (partition by return_id, order_number, currency order by month),
        upto as (partition by return_id, order_number, currency order by month)
),

-- One row per month and currency: the returns whose balance is open at its end.
open_balances as (
    select months.month, balances.currency, count(*) as returns_open, sum(not_credited) as not_credited
    from months
    join balances on balances.month <= months.month and balances.until_month > months.month and balance <> 0
    group by months.month, balances.currency
),

-- One row per month and currency, with its opening and closing.
running_sums as (
    select
        months.month, currencies.currency,
        coalesce(sum(refundable) filter (where month_sums.month = months.month), 0) as became_refundable_amount,
        coalesce(sum(credited) filter (where month_sums.month = months.month), 0) as credited_amount,
        coalesce(sum(paid) filter (where month_sums.month = months.month), 0) as paid_amount,
        coalesce(sum(failed) filter (where month_sums.month = months.month), 0) as failed_amount,
        coalesce(sum(refundable - paid + failed) filter (where month_sums.month < months.month), 0) as opening_amount,
        sum(refundable - paid + failed) as closing_amount
    from months
    cross join (select distinct currency from month_sums) as currencies
    join month_sums on month_sums.currency = currencies.currency and month_sums.month <= months.month
    group by months.month, currencies.currency
)

select
    running_sums.*,
    coalesce(returns_open, 0) as closing_count,
    coalesce(not_credited, 0) as closing_not_credited_amount,
    closing_amount - coalesce(not_credited, 0) as closing_credited_amount
from running_sums
left join open_balances using (month, currency);

delete from month_end.refund_liability_returns where month = (select month from report_period);
insert into month_end.refund_liability_returns by name
select
    report_period.month, return_id, order_number, currency,
    sum(refundable) as refundable_amount, sum(credited) as credited_amount, sum(paid - failed) as paid_amount,
    sum(refundable - paid + failed) as balance, min(since) as since
from liability_movements
join report_period on liability_movements.month <= report_period.month
group by report_period.month, return_id, order_number, currency
having balance <> 0;
