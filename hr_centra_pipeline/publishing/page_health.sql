-- kind:  query
-- grain: one row per thing that is looked at
-- loop:  operations.contract: as the last run left it
-- loop:  operations.coverage_gaps: as the last run left it
-- loop:  operations.vendor_drift: as the last run left it

-- How the pipeline is: sources, gaps, quota, what is in doubt, contract, drift, inbox. now: the decision time.
with
pulls as (
    select
        object, max(fetched_at) as fetched_at, arg_max(is_complete, (fetched_at, batch)) as is_complete,
        arg_max_null(problem, (fetched_at, batch)) as problem
    from landing.centra_pulls group by object
),

files as (
    select
        kind, max(received_at) as received_at, arg_max_null(problem, (received_at, batch)) as problem,
        max(last_source_time) as last_source_time
    from landing.files where kind is not null group by kind
),

newest_push as (
    select * from push.pushes order by started_at desc, real_started_at desc limit 1
),

looks as (
    select * from landing.inbox_looks order by batch desc limit 1
)

select
    * replace (instant_text("at") as "at") from (
    select
        'sources' as area, 'Happy Returns ' || kind as name,
        coalesce(problem, 'read through ' || instant_text(last_source_time), 'read, and no time in it') as value,
        case when problem is null then 'ok' else 'warning' end as level, received_at as "at",
        case when problem is not null then 'Have the file delivered again, or map its headers in a profile.' end as next_step,
        1 as place
    from files
    union all by name
    select
        'sources' as area, 'Centra ' || replace(object, '_', ' ') as name, coalesce(problem, 'read completely') as value,
        case when is_complete then 'ok' else 'warning' end as level, fetched_at as "at",
        case when not is_complete then 'The next sync goes on where it stopped; look at the run in the Dagster UI.' end
            as next_step,
        2 as place
    from pulls
    union all by name
    select
        'gaps' as area, source as name, detail as value, 'error' as level, gap_to as "at",
        'What is missing has to be read again: see the runbook of coverage gaps.' as next_step, 3 as place
    from operations.coverage_gaps where caught_up_at is null
    union all by name
    select
        'quota' as area, 'last push' as name,
        requests || ' requests, ' || limited || ' of them limited by Centra''s quota, ' || writes || ' changes'
        || coalesce('. ' || halted, '') as value,
        case when halted is not null or limited > 0 then 'warning' else 'ok' end as level, real_ended_at as "at",
        case when halted is not null then 'The next push carries on.' end as next_step, 4 as place
    from newest_push
    union all by name
    select
        'in_doubt' as area, 'effects in doubt' as name, count(*)::varchar as value,
        case when count(*) > 0 then 'warning' else 'ok' end as level, min(updated_at) as "at",
        case when count(*) > 0 then 'The next sync looks them up in Centra; what stays in doubt is an exception.' end
            as next_step,
        5 as place
    from push.ledger where state in ('sending', 'unknown')
    union all by name
    select
        'contract' as area, 'Centra''s schema: what stops effects' as name, count(*)::varchar as value,
        case when count(*) > 0 then 'error' else 'ok' end as level,
        max(checked_at) as "at",
        min(remedy) as next_step,
        6 as place
    from operations.contract where stops
    union all by name
    select
        'drift' as area,
        vendor || ' ' || object || ': ' || what as name,
        name || coalesce(' ' || nullif(value, ''), '') as value,
        'warning' as level, first_seen_at as "at", next_step, 7 as place
    from operations.vendor_drift
    union all by name
    select
        'inbox' as area, 'webhook deliveries' as name,
        coalesce(problem, 'looked at completely, ' || coalesce(deliveries, 0) || ' taken by the last sync') as value,
        case when is_complete then 'ok' else 'warning' end as level, looked_at as "at",
        case when not is_complete then 'The next sync takes what was left.' end as next_step, 8 as place
    from looks
    union all by name
    select
        'quarantine' as area, 'rows set aside within 30 days' as name, count(*)::varchar as value,
        case when count(*) > 0 then 'warning' else 'ok' end as level, max(rejected_at) as "at",
        case when count(*) > 0 then 'Each is in an exception of kind quarantined_row.' end as next_step, 9 as place
    from quarantine.rejected_rows where rejected_at >= $now::timestamptz - interval 30 days
)
order by place, area, name, value;
