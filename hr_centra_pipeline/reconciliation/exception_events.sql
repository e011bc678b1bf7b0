-- makes: reconciliation.exception_events
-- kind:  table
-- grain: one row per event of an exception; append-only

-- What is open and was not, and what is said otherwise now than it was: owner ('assigned'), money, cause, or whether only the dry
-- run holds it back ('changed').
insert into reconciliation.exception_events by name
with
-- One row per open exception, with what the history keeps of it.
described_exceptions as (
    select
        open_now.*,
        to_json(struct_pack(
            subject := subject,
            identity := identity,
            class := class,
            cause := cause,
            culprit := culprit,
            owner_team := owner_team,
            window_hours := window_hours,
            return_id := return_id,
            return_item_id := return_item_id,
            order_number := order_number,
            sku := sku,
            currency := currency,
            amount := amount::varchar,
            detail := detail,
            next_step := next_step,
            evidence := evidence,
            is_dry_run := is_dry_run
        )) as told_now
    from open_now
)

select
    exception_id,
    case
        when before.exception_id is null then 'opened'
        when not before.is_open then 'reopened'
        when (before.told ->> 'owner_team' is distinct from owner_team) then 'assigned'
        else 'changed'
    end as event,
    case when before.exception_id is null then opens_at else $now end as "at",
    'hr-centra' as "by",
    described_exceptions.kind,
    told_now::varchar as subject,
    $run as run_number,
    $now as recorded_at,
    closings.exception_id as counterpart
from described_exceptions
left join past_exceptions as before using (exception_id)
left join closings on closings.counterpart = described_exceptions.exception_id and closings.proof is not null
where not coalesce(before.is_open, false)
    or [
        before.told ->> 'owner_team', before.told ->> 'currency', before.told ->> 'amount', before.told ->> 'class',
        before.told ->> 'cause', before.told ->> 'culprit', before.is_dry_run::varchar
    ] is distinct from [owner_team, currency, amount::varchar, class, cause, culprit, described_exceptions.is_dry_run::varchar]
order by opens_at, exception_id;

-- What the dry run held back and is not found any more: nothing proves that it is over, so it is open like any other.
insert into reconciliation.exception_events by name
select
    exception_id,
    'changed' as event,
    $now as "at",
    'hr-centra' as "by",
    past_exceptions.kind,
    json_merge_patch(told, '{"is_dry_run": false}')::varchar as subject,
    $run as run_number,
    $now as recorded_at
from past_exceptions
semi join (select exception_id from closings where proof is null) as unproven_exceptions using (exception_id)
where is_dry_run
order by exception_id;

insert into reconciliation.exception_events by name
select
    exception_id,
    'closed' as event,
    $now as "at",
    'hr-centra' as "by",
    proof,
    kind,
    $run as run_number,
    $now as recorded_at,
    counterpart
from closings where proof is not null
order by exception_id;
