-- makes: reconciliation.dry_run_items, reconciliation.exceptions, dated_exceptions
-- kind:  table
-- grain: one row per open exception; what only the dry run holds back is in a list of its own

-- The open exceptions as the history shows them. One whose finding is gone without a proof stays open as it was last reported.
create or replace temp table dated_exceptions as
with
-- One row per open exception, found now or not disproved.
current_exceptions as (
    select * exclude (subject, identity, fact_at, opens_at) from open_now
    union all by name
    -- Not found any more, and nothing proves that it is over. What it was once held back by is not looked at any more.
    select
        exception_id, kind, told ->> 'class' as class, told ->> 'cause' as cause, told ->> 'culprit' as culprit,
        told ->> 'owner_team' as owner_team,
        (told ->> 'window_hours')::bigint as window_hours,
        told ->> 'return_id' as return_id,
        told ->> 'return_item_id' as return_item_id, told ->> 'order_number' as order_number, told ->> 'sku' as sku,
        told ->> 'currency' as currency, (told ->> 'amount')::decimal(18, 4) as amount,
        (told ->> 'detail') || ' (no longer covered: nothing proves that it is resolved)' as detail,
        told ->> 'next_step' as next_step, told -> 'evidence' as evidence,
        false as is_dry_run
    from past_exceptions
    semi join (select exception_id from closings where proof is null) as unproven_exceptions using (exception_id)
),

-- One row per event of these that says how it is open, and whether the dry run alone held it back before.
states as (
    select
        exception_id, event, "at", coalesce(subject::json ->> 'is_dry_run', 'false') = 'true' as is_dry_run,
        lag(is_dry_run) over (partition by exception_id order by coalesce(run_number, 0), "at", rowid) as was_dry_run
    from reconciliation.exception_events
    semi join current_exceptions using (exception_id)
    where event in ('opened', 'reopened', 'changed', 'assigned')
),

-- One row per exception that was ever handed to a person or a team: who has it now (null: nobody any more).
assignments as (
    select
        exception_id, arg_max(struct_pack(assigned_to := assigned_to), (coalesce(run_number, 0), rowid)).assigned_to as assigned_to
    from reconciliation.exception_events where event = 'handed_over'
    group by exception_id
),

-- One row per open exception. Time to act on it begins when it opens, or when the dry run ends.
openings as (
    select
        exception_id, min("at") filter (where event in ('opened', 'reopened')) as opened_at,
        max("at") filter (where event in ('opened', 'reopened') or (was_dry_run and not is_dry_run)) as to_do_since
    from states
    group by exception_id
)

select
    current_exceptions.* exclude (window_hours),
    openings.opened_at,
    assignments.assigned_to,
    greatest(date_diff('minute', opened_at, $now::timestamptz) // 60, 0) as age_hours,
    to_do_since + to_hours(greatest(current_exceptions.window_hours, 24)::integer) as due_at,
    case
        when class = 'timing' or is_dry_run then 'info'
        when rules.severity = 'error' or due_at <= $now then 'error'
        else 'warning'
    end as severity,
    due_at <= $now and not is_dry_run as overdue,
    age_bucket_of(age_hours // 24) as age_bucket
from current_exceptions
join openings using (exception_id)
left join assignments using (exception_id)
left join policy.exception_kinds as rules using (kind);

delete from reconciliation.exceptions;
insert into reconciliation.exceptions by name
select * exclude (is_dry_run) from dated_exceptions where not is_dry_run;

-- Open only because nothing is sent: nobody has anything to do about it, and it is not part of what is open.
delete from reconciliation.dry_run_items;
insert into reconciliation.dry_run_items by name
select * exclude (is_dry_run) from dated_exceptions where is_dry_run;
