-- makes: reconciliation.exceptions
-- kind:  table
-- grain: one row per open exception

-- The open exceptions as the history shows them. One whose finding is gone without a proof stays open as it was last reported.
delete from reconciliation.exceptions;
insert into reconciliation.exceptions by name
with
-- One row per open exception, found now or not disproved.
current_exceptions as (
    select * exclude (subject, identity, fact_at, opens_at) from open_now
    union all by name
    -- Not found any more, and nothing proves that it is over.
    select
        exception_id, kind, told ->> 'class' as class, told ->> 'cause' as cause, told ->> 'culprit' as culprit,
        told ->> 'owner_team' as owner_team,
        (told ->> 'window_hours')::bigint as window_hours,
        told ->> 'return_id' as return_id,
        told ->> 'return_item_id' as return_item_id, told ->> 'order_number' as order_number, told ->> 'sku' as sku,
        told ->> 'currency' as currency, (told ->> 'amount')::decimal(18, 4) as amount,
        (told ->> 'detail') || ' (no longer covered: nothing proves that it is resolved)' as detail,
        -- what it was once held back by is not looked at any more
        told ->> 'next_step' as next_step, json_merge_patch(told -> 'evidence', '{"waits_for_live": null}') as evidence
    from past_exceptions
    semi join (select exception_id from closings where proof is null) as unproven_exceptions using (exception_id)
),

-- One row per exception that was ever opened.
openings as (
    select
        exception_id, min("at") as opened_at, max("at") as last_opened_at
    from reconciliation.exception_events where event in ('opened', 'reopened')
    group by exception_id
),

-- One row per exception that was ever handed to a person or a team: who has it now (null: nobody any more).
assignments as (
    select
        exception_id, arg_max(struct_pack(assigned_to := assigned_to), (coalesce(run_number, 0), rowid)).assigned_to as assigned_to
    from reconciliation.exception_events where event = 'handed_over'
    group by exception_id
),

-- One row per open exception, with its age and due time.
dated_exceptions as (
    select
        current_exceptions.* exclude (window_hours),
        openings.opened_at,
        assignments.assigned_to,
        greatest(date_diff('minute', opened_at, $now::timestamptz) // 60, 0) as age_hours,
        last_opened_at + to_hours(greatest(window_hours, 24)::integer) as due_at,
        -- Nothing but the dry run holds it back: it is shown, and nobody is late.
        coalesce(evidence ->> 'waits_for_live', 'false') = 'true' as waits_for_live
    from current_exceptions
    join openings using (exception_id)
    left join assignments using (exception_id)
)

select
    dated_exceptions.* exclude (waits_for_live),
    case
        when class = 'timing' or waits_for_live then 'info'
        when rules.severity = 'error' or due_at <= $now then 'error'
        else 'warning'
    end as severity,
    due_at <= $now and not waits_for_live as overdue,
    age_bucket_of(age_hours // 24) as age_bucket
from dated_exceptions
left join policy.exception_kinds as rules using (kind);
