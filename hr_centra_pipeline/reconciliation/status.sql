-- status_not_updated: customer service does not see on the order where a return stands.
insert into findings by name
select
    'status_not_updated' as kind,
    'status' as subject,
    'note' as identity,
    'fix_pipeline' as class,
    case when pending."mode" <> 'live' then 'policy_gap' else 'system_error' end as cause,
    case when pending."mode" <> 'live' then 'policy' else 'pipeline' end as culprit,
    pending.return_id, pending.order_number,
    sendable_at as fact_at,
    'The order does not say "' || regexp_extract("text", ': (.*)\]', 1) || '": '
        || coalesce(blocked_by, ledger.reason, case when pending."mode" <> 'live' then 'notes are in mode ' || pending."mode" end, 'it was not written yet')
        as detail,
    case when pending."mode" <> 'live' then 'Let the pipeline write notes: [modes] in the policy, and HR_CENTRA_MODE.'
        else 'Look at the last sync in Dagster: why it did not write this.' end as next_step,
    json_object('effect_key', pending.effect_key, 'mode', pending."mode", 'state', coalesce(ledger.state, 'planned')) as evidence
from effects.pending_status_updates as pending
left join push.ledger using (effect_key)
where coalesce(ledger.state, 'planned') in ('planned', 'withdrawn')
    -- Left by the last push for one that tells of the money too: the next one writes it, with or without (`packets.py`).
    and not (starts_with(coalesce(ledger.reason, ''), 'waits for the credit of its order') and ledger.planned_at > $now - to_hours(12));

-- Written once, and gone from the order since. It is not written again by itself: somebody wanted the comment otherwise.
insert into findings by name
with
latest as (
    select effect_key, return_id, order_number, updated_at
    from push.ledger
    semi join matching.orders_in_play using (order_number)
    where effect_kind = 'status_update' and state = 'confirmed' and return_id is not null
    qualify row_number() over (partition by return_id, order_number order by updated_at desc, planned_at desc, effect_key) = 1
)

select
    'status_not_updated' as kind,
    'status' as subject,
    'note' as identity,
    'fix_centra' as class,
    'data_gap' as cause,
    'person' as culprit,
    latest.return_id, latest.order_number,
    orders.updated_at as fact_at,
    'Our note on the order was written on ' || strftime(latest.updated_at, '%Y-%m-%d') || ' and is gone' as detail,
    'Write the return''s state into the order by hand, or leave it: it is written again at the next milestone.' as next_step,
    json_object('effect_key', latest.effect_key, 'order_number', latest.order_number) as evidence
from latest
join staging.orders as orders using (order_number)
cross join policy.parameters
where orders.fetched_at > latest.updated_at and not list_contains(orders.effect_keys, latest.effect_key)
    and parameters.status_target <> 'customer' and parameters.status_attribute is null
    and latest.effect_key not in (select effect_key from push.ledger where effect_kind = 'status_update' and state <> 'confirmed');
