-- makes: repeated_effects
-- kind:  step
-- grain: one row per effect of hr-centra that is in Centra more than once

-- One row per effect key that is in two objects of Centra: ours, done twice.
create or replace temp table repeated_effects as
with
repeated_keys as (
    select
        observed.effect_key,
        observed.place,
        count(distinct observed.centra_id) as times,
        max(observed.seen_at) as seen_at,
        string_agg(distinct observed.centra_id, ', ') as centra_ids
    from effects.observed
    where observed.place in ('return', 'stock_change') and observed.effect_key in (
            select effect_key from push.ledger semi join matching.orders_in_play using (order_number)
        )
    group by observed.effect_key, observed.place
    having count(distinct observed.centra_id) > 1
)

select
    place,
    ledger.effect_key as identity,
    'fix_pipeline' as class, 'system_error' as cause, 'pipeline' as culprit,
    ledger.return_id,
    ledger.return_item_id,
    ledger.order_number,
    units.sku,
    coalesce(ledger.currency, units.currency) as currency,
    coalesce(ledger.amount, units.unit_price) as amount,
    repeated_keys.seen_at as fact_at,
    'One of our effects is in Centra ' || times || ' times: ' || centra_ids as detail,
    'Take the surplus back in Centra, and inform the maintainers: this must not happen.' as next_step,
    json_object('effect_key', ledger.effect_key, 'centra_ids', centra_ids) as evidence
from repeated_keys
join push.ledger using (effect_key)
left join known_units as units using (return_item_id);
