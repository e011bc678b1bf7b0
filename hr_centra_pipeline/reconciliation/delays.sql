-- makes: reconciliation.delays, last_seen
-- kind:  table
-- grain: one row per unit that waits, with what for and since when

-- Where each unit under way is, what it waits for, and whether that is late: in logistics, at Happy Returns, or with us.
create or replace temp table last_seen as
select return_item_id, arg_max(event, happened_at) as last_event, max(happened_at) as last_event_at
from staging.return_item_events
semi join known_units using (return_item_id)
where is_physical
group by return_item_id;

delete from reconciliation.delays where order_number in (select order_number from matching.orders_in_play);
insert into reconciliation.delays by name
with
-- The last call of a packet, and what Centra answered.
last_calls as (
    select
        packet_key, max(started_at) as called_at,
        arg_max(concat_ws(' ', outcome, 'HTTP ' || http_status, message), real_started_at) as answer
    from push.attempts
    semi join missing_effects using (packet_key)
    group by packet_key
),

-- One row per unit: the effect of ours that it waits for first.
our_waits as (
    select
        missing.return_item_id, missing.effect_kind, missing.sendable_at, missing.why, last_calls.called_at, last_calls.answer,
        effect_types.awaited as waits_for,
        rules.window_hours
    from missing_effects as missing
    left join last_calls using (packet_key)
    join policy.effect_types on effect_types.effect_kind = missing.effect_kind
    join policy.exception_kinds as rules on rules.kind = effect_types.missing
    qualify row_number() over (partition by missing.return_item_id order by missing.sendable_at, missing.effect_kind)
        = 1
),

-- One row per unit on its way.
unit_waits as (
    select
        units.return_item_id,
        units.return_id,
        units.order_number,
        units.dropoff_method,
        last_events.last_event,
        last_events.last_event_at,
        case
            when our_waits.return_item_id is not null then 'ours'
            when units.is_refused then null
            when last_events.last_event is null then null -- only started: the shopper has it
            when units.arrived_at is null and units.disposition is null and not units.is_returnless then 'goods'
            when units.received_at is not null and units.approved_at is null then 'approval'
            when units.arrived_at is not null and units.disposition is null and not units.is_returnless then 'grade'
        end as waits_code,
        case waits_code
            when 'ours' then our_waits.waits_for
            when 'goods' then 'the goods'
            when 'approval' then 'an approval'
            when 'grade' then 'a grade'
        end as waits_for,
        our_waits.effect_kind,
        our_waits.sendable_at,
        our_waits.why,
        our_waits.called_at,
        our_waits.answer,
        our_waits.window_hours as our_hours,
        lateness.p50_hours, lateness.p95_hours, lateness.is_learned,
        coalesce(lateness.window_hours, rules.window_hours) as physical_hours,
        parameters.unapproved_days * 24 as approval_hours,
        units.received_at
    from known_units as units
    cross join policy.parameters
    left join last_seen as last_events using (return_item_id)
    left join our_waits using (return_item_id)
    left join reconciliation.lateness as lateness
        on lateness.stage = last_events.last_event and lateness.dropoff_method = coalesce(units.dropoff_method, 'unknown')
    join
        policy.exception_kinds as rules
        on rules.awaits = case when units.arrived_at is null then 'goods' else 'grade' end
),

-- One row per unit that waits, with since when and how long it may.
timed_waits as (
    select
        *,
        case
            when waits_code = 'ours' then sendable_at when waits_code = 'approval' then received_at else
                last_event_at
        end as waits_since,
        case
            when waits_code = 'ours' then our_hours when waits_code = 'approval' then approval_hours else
                physical_hours
        end as window_hours
    from unit_waits
    where waits_code is not null
)

select
    return_item_id, return_id, order_number, dropoff_method, last_event, last_event_at,
    case waits_code when 'ours' then effect_kind else waits_code end as waits_code, waits_for, waits_since,
    greatest(date_diff('minute', waits_since, $now::timestamptz) // 60, 0) as waited_hours, window_hours,
    case when waits_code in ('goods', 'grade') then p50_hours end as usual_hours,
    case when waits_code in ('goods', 'grade') then p95_hours end as late_hours,
    coalesce(is_learned, false) and waits_code in ('goods', 'grade') as is_learned,
    case
        when waits_since + to_hours(window_hours::integer) > $now
            then
                case when waits_since > $now then 'not_due' else 'in_time' end
        when waits_code = 'ours' then 'system_error'
        when waits_code = 'goods' then 'logistics_delay'
        else 'happy_returns_delay'
    end as verdict,
    called_at is not null as was_called, called_at, answer, why as reason
from timed_waits;
