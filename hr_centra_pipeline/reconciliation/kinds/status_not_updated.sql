-- changes: findings
-- kind:  exception
-- grain: one row per return on an order and place that does not show its state
-- exception:    status_not_updated
-- subject:      status
-- owner:        data
-- window_hours: 24
-- precedence:   150
-- severity:     warning
-- family:       orphaned_returns
-- opens:        A place where the policy wants the state of a return does not show it: our text could
--               not be written, or it was overwritten.
-- closes:       the place shows our text about the return again; for an attribute, which holds one
--               value, about any return of that order or customer.

-- Customer service does not see the state of a return in a place where the policy wants it written.

-- One row per place, as people call it.
create or replace temp table places as
select places.*
from (
    values
    ('status_update', 'note', 'The order''s internal comment', 'the order''s internal comment'),
    ('order_attribute', 'order_attribute', 'The order''s attribute', 'the order''s attribute'),
    ('customer_note', 'customer_note', 'The customer''s internal comment', 'the customer''s internal comment'),
    ('customer_attribute', 'customer_attribute', 'The customer''s attribute', 'the customer''s attribute')
) as places (effect_kind, identity, at_the_start, within)
semi join policy.status_targets using (effect_kind);

insert into findings by name
select
    'status_not_updated' as kind,
    'status' as subject,
    places.identity,
    coalesce(reasons.class, 'fix_pipeline') as class,
    coalesce(reasons.cause, case when pending."mode" <> 'live' then 'policy_gap' end, 'system_error') as cause,
    coalesce(reasons.culprit, case when pending."mode" <> 'live' then 'policy' end, 'pipeline') as culprit,
    pending.return_id, pending.order_number,
    sendable_at as fact_at,
    places.at_the_start || ' does not say "' || (pending.evidence::json ->> 'says') || '": '
    || coalesce(
        pending.blocked_by,
        ledger.reason,
        case when pending."mode" <> 'live' then 'status updates are in mode ' || pending."mode" end,
        'it was not written yet'
    ) as detail,
    coalesce(
        reasons.next_step,
        case when pending."mode" <> 'live' then 'Let the pipeline write it: [modes] in the policy, and HR_CENTRA_MODE.' end,
        'Check the last sync in Dagster for why this was not written.'
    ) as next_step,
    json_object(
        'effect_key',
        pending.effect_key,
        'effect_kind',
        effect_kind,
        'mode',
        pending."mode",
        'state',
        coalesce(ledger.state, 'planned')
    ) as evidence,
    pending.blocked_by is null and pending."mode" = 'dry_run' as is_dry_run
from effects.pending_status_updates as pending
join places using (effect_kind)
left join push.ledger as ledger on ledger.effect_key = pending.effect_key
left join policy.reasons on reasons.code = pending.blocked_code
where coalesce(ledger.state, 'planned') in ('planned', 'withdrawn')
    -- Left by the last push for one that reports the money too: the next one writes it, with or without (push/operations/status.py).
    and not (
        coalesce(ledger.reason_code = 'waits_for_credit', false)
        and status_may_wait(waiting_since(pending.sendable_at, ledger.planned_at), $now::timestamptz)
    );

-- Written once, and gone since. It is not written again by itself: somebody wanted it otherwise.
insert into findings by name
with
-- One row per line that we wrote in a comment, and per attribute, which holds one value whatever the return: as written last.
latest_writes as (
    select effect_key, effect_kind, return_id, order_number, centra_id, updated_at
    from push.ledger
    semi join matching.orders_in_play using (order_number)
    semi join places using (effect_kind)
    where state = 'confirmed' and return_id is not null
    qualify row_number() over (
            partition by
                effect_kind,
                case
                    when sets_an_attribute(effect_kind) then centra_id else
                        return_id || ' ' || order_number
                end
            order by updated_at desc, planned_at desc, effect_key
        ) = 1
),

-- One row per place on an order or customer, with our keys there as they were read last.
shown_keys as (
    select
        'status_update' as effect_kind,
        order_number as centra_id,
        effect_keys as keys,
        fetched_at,
        updated_at as changed_at
    from staging.orders
    union all
    select object_type || '_attribute', object_id, value_keys, fetched_at, fetched_at from staging.status_marks
    union all
    select 'customer_note', object_id, note_keys, fetched_at, fetched_at
    from staging.status_marks
    where object_type = 'customer'
)

select
    'status_not_updated' as kind,
    'status' as subject,
    places.identity,
    'fix_centra' as class,
    'data_gap' as cause,
    'person' as culprit,
    latest_writes.return_id, latest_writes.order_number,
    shown_keys.changed_at as fact_at,
    'What we wrote into ' || places.within || ' on ' || strftime(latest_writes.updated_at, '%Y-%m-%d') || ' is gone' as detail,
    'Write the return''s state there by hand, or leave it: it is written again at the next milestone.' as next_step,
    json_object(
        'effect_key',
        latest_writes.effect_key,
        'effect_kind',
        effect_kind,
        'order_number',
        latest_writes.order_number,
        'centra_id',
        latest_writes.centra_id
    ) as evidence
from latest_writes
join places using (effect_kind)
join shown_keys using (effect_kind, centra_id)
where shown_keys.fetched_at > latest_writes.updated_at and not list_contains(shown_keys.keys, latest_writes.effect_key);

-- closing
insert into proofs by name
select
    exception_id,
    coalesce(
        effect_proof,
        answer_proof,
        case
            when effect_state = 'planned' and waits_for_its_credit
                then proven_by(
                        'waits_for_credit',
                        'the money of its order was sent just now: the next sync writes both in one note'
                    )
        end
    ) as proof
from unseen
where kind = 'status_not_updated';
