-- makes: operations.backfill_reports
-- kind:  query
-- grain: one row per kind, currency and reason of what a backfill leaves unsent

-- What a backfill leaves unsent: every pending effect that the ledger does not have as done, by kind, currency and reason;
-- and the units of returns before the cut-over, for which nothing is even planned.
create or replace temp table unsent_effects as
select
    pending.effect_kind, pending.currency, count(*) as effects, sum(pending.amount) as amount,
    coalesce(pending.blocked_by, 'left to the hourly sync') as reason
from pending_effects as pending
left join push.ledger using (effect_key)
where coalesce(ledger.state, 'planned') = 'planned'
group by all
union all by name
select
    'every effect' as effect_kind, count(*) as effects,
    'its return was over before the cut-over: observed and reconciled, never acted on' as reason
from effects.units
anti join pending_effects using (return_item_id)
where not is_after_cutover
having count(*) > 0;

insert into operations.backfill_reports by name
select
    $run_id as run_id,
    $from_day::date as from_day,
    $to_day::date as to_day,
    effect_kind,
    currency,
    effects,
    amount,
    reason,
    $now::timestamptz as finished_at
from unsent_effects;

select effect_kind, coalesce(currency, ''), effects, coalesce(amount::varchar, ''), reason
from unsent_effects
order by all;
