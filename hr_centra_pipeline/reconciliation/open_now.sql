-- makes: past_exceptions, open_now
-- kind:  step
-- grain: one row per finding that is an exception now
-- loop:  reconciliation.exception_events: what was open before, and what people wrote off, decides what opens now

-- Which findings are exceptions now: their window is over (or was, when it was shorter), they are not older than the cut-over,
-- and no more specific kind is open for the same subject of the same unit.

-- One row per exception of the past, with what its last opening or change said.
create or replace temp table past_exceptions as
select
    exception_id,
    any_value(kind) as kind,
    arg_max(subject::json, (coalesce(run_number, 0), "at", rowid)) filter (
        where event in ('opened', 'reopened', 'changed', 'assigned')
    )
        as told,
    coalesce(told ->> 'is_dry_run', 'false') = 'true' as is_dry_run,
    count(*) filter (where event in ('opened', 'reopened')) > count(*) filter (where event = 'closed') as is_open,
    (arg_max(decision, (run_number, rowid)) filter (where event = 'closed') is not distinct from 'write_off')
        as is_written_off
from reconciliation.exception_events
group by exception_id;

create or replace temp table open_now as
with
-- Where another kind is more specific, what the unit was when it was credited or exchanged is reported with that.
corrections as (
    select return_item_id, subject, arg_min(detail, kind) as detail
    from findings
    semi join policy.exception_kinds as rules on rules.kind = findings.kind and rules.outranked = 'told'
    where return_item_id is not null
    group by return_item_id, subject
),

named_findings as (
    select
        'EX' || substr(effect_key('exception ' || findings.kind, [
            findings.subject,
            coalesce(identity, ''),
            coalesce(findings.return_id, ''),
            coalesce(findings.return_item_id, ''),
            coalesce(findings.order_number, '')
        ]), 3) as exception_id,
        findings.* exclude (window_hours, next_step, evidence, is_dry_run) replace (
            findings.detail
            || case when findings.detail <> corrections.detail then '. ' || corrections.detail else '' end as detail
        ),
        -- where the unit is, whether we called, and what Centra said: is it logistics, or us?
        json_merge_patch(coalesce(
            evidence, '{}'), case when delays.return_item_id is not null
                then json_object(
                        'last_event',
                        delays.last_event,
                        'last_event_at',
                        delays.last_event_at,
                        'waits_for',
                        delays.waits_for,
                        'waited_hours',
                        delays.waited_hours,
                        'usual_hours',
                        delays.usual_hours,
                        'late_hours',
                        delays.late_hours,
                        'was_called', delays.was_called, 'called_at', delays.called_at, 'answer', delays.answer
                    )
            else '{}'
        end) as evidence,
        next_step,
        coalesce(findings.is_dry_run, false) as is_dry_run,
        coalesce(findings.window_hours, rules.window_hours) as window_hours,
        rules.owner_team, rules.precedence
    from findings
    join policy.exception_kinds as rules using (kind)
    left join reconciliation.delays as delays on delays.return_item_id = findings.return_item_id
    left join
        corrections
        on corrections.return_item_id = findings.return_item_id and corrections.subject = findings.subject
),

-- One row per return: whether it is to be acted on. What happened after the cut-over counts for the others too.
returns_in_scope as (
    select return_id, bool_and(is_after_cutover) as is_after_cutover from effects.units group by return_id
    union all
    select return_id, bool_and(created_at >= parameters.cutover)
    from staging.returns
    cross join policy.parameters
    anti join effects.units using (return_id)
    group by return_id
),

due_findings as (
    select named_findings.*, fact_at + to_hours(named_findings.window_hours::integer) as opens_at
    from named_findings
    cross join policy.parameters
    left join returns_in_scope using (return_id)
    where subject = 'source'
        or coalesce(returns_in_scope.is_after_cutover, named_findings.return_id is not null)
        or fact_at >= parameters.cutover
)

select * exclude (precedence)
from due_findings
where opens_at <= $now or exception_id in (select exception_id from past_exceptions where is_open)
qualify return_item_id is null
    or row_number() over (partition by return_item_id, subject order by precedence, exception_id) = 1;

-- What a person wrote off stays closed as long as no more money is at stake than was written off.
delete from open_now where exception_id in (
        select before.exception_id
        from past_exceptions as before
        join open_now using (exception_id)
        where before.is_written_off and not before.is_open
            and open_now.currency is not distinct from (before.told ->> 'currency')
            and coalesce(open_now.amount, 0) <= coalesce((before.told ->> 'amount')::decimal(18, 4), 0)
    );
