-- makes: todays_amounts, amounts_since_the_poll, usual_amounts, amounts_under_way, raised_limits
-- kind:  step
-- grain: one row per effect type and currency (null: the count) of what each table is about: today, since the poll, under way, usual, raised

-- What we have sent, by effect type: today, and on the same weekday of the weeks before. Days are UTC days of the decision clock.

-- One row per effect that is in Centra by us; a fee lessens the money.
create or replace temp table sent_effects as
select
    effect_type, currency, confirmed_at, confirmed_at::date as "day",
    signed_amount(effect_kind, coalesce(amount, 0)) as amount
from push.ledger
join policy.effect_types using (effect_kind)
where (state = 'confirmed' and not is_foreign and confirmed_at is not null);

-- One row per effect type and currency: what went out today, what is in doubt for good included.
create or replace temp table todays_amounts as
select effect_type, currency, count(*) as effects, sum(amount)::decimal(18, 4) as amount
from (
    select effect_type, currency, amount from sent_effects where "day" = $now::timestamptz::date
    union all
    select effect_type, ledger.currency, signed_amount(effect_kind, coalesce(ledger.amount, 0))
    from push.ledger
    join policy.effect_types using (effect_kind)
    join push.packets using (packet_key)
    where ledger.state in ('sending', 'unknown')
        and packets.trouble is not null
        and ledger.updated_at::date = $now::timestamptz::date
)
group by effect_type, currency;

-- One row per effect type and currency: what left after the last hourly sync.
create or replace temp table amounts_since_the_poll as
select effect_type, currency, count(*) as effects, sum(amount)::decimal(18, 4) as amount
from sent_effects
where confirmed_at > (select max(fetched_at) from landing.centra_pulls where "object" = 'returns' and is_complete)
group by effect_type, currency;

-- One row per effect type and currency: what is half done since whenever, and may leave with what is due now.
create or replace temp table amounts_under_way as
select
    effect_type, ledger.currency, count(*) as effects,
    sum(signed_amount(effect_kind, coalesce(ledger.amount, 0)))::decimal(18, 4) as amount
from push.ledger
join policy.effect_types using (effect_kind)
left join push.packets using (packet_key)
where ledger.state in ('sending', 'unknown') and packets.trouble is null
group by effect_type, ledger.currency;

-- One row per effect type, currency (null: the count) and day of the same weekday in the last weeks, empty days too; none
-- before the first effect of the type.
create or replace temp table same_weekdays as
with
first_days as (
    select effect_type, min("day") as first_day from sent_effects group by effect_type
),

days as (
    select effect_type, ($now::timestamptz::date - (7 * week)::integer) as "day"
    from first_days, range(1, $weeks::bigint + 1) as weeks (week)
    where $now::timestamptz::date - (7 * week)::integer >= first_day
),

currencies as (
    select distinct effect_type, currency from sent_effects where currency is not null
)

select
    days.effect_type, cast(null as varchar) as currency, days."day", count(sent_effects.effect_type)::decimal(18, 4) as amount
from days left join sent_effects on sent_effects.effect_type = days.effect_type and sent_effects."day" = days."day"
group by days.effect_type, days."day"
union all by name
select days.effect_type, currencies.currency, days."day", coalesce(sum(sent_effects.amount), 0)::decimal(18, 4) as amount
from days
join currencies using (effect_type)
left join
    sent_effects
    on sent_effects.effect_type = days.effect_type
        and sent_effects."day" = days."day"
        and sent_effects.currency = currencies.currency
group by days.effect_type, currencies.currency, days."day";

-- One row per effect type and currency (null: the count) with enough past: the median day. Four weeks are enough.
create or replace temp table usual_amounts as
select effect_type, currency, quantile_disc(amount, 0.5) as amount
from same_weekdays
group by effect_type, currency
having count(*) >= 4;

-- One row per effect type and currency (null: the count): up to where a person has raised its guards.
create or replace temp table raised_limits as
select effect_type, currency, max(up_to) as up_to
from push.raises
where raised_at <= $now and expires_at > $now
group by effect_type, currency;
