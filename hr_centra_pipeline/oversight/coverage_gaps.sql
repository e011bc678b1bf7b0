-- makes: operations.coverage_gaps
-- kind:  table
-- grain: one row per pause in which a source was not read

-- When was a source not read, and was all of it read afterwards? One row per pause that is longer than one and a half
-- intervals of the schedule, over all that was ever read; and per pause without a file of the exports.
delete from operations.coverage_gaps;

insert into operations.coverage_gaps by name
with
-- One row per successful look at a source: when, and from which instant on it read what was new (null: all of it).
looks as (
    -- Several pulls at one time of the clock reach as far back as the widest of them.
    select
        'centra_' || "object" as source, fetched_at as looked_at,
        case when bool_and(window_from is not null) then min(window_from) end as reads_from
    from landing.centra_pulls
    where is_complete and "object" in ('orders', 'shipments', 'returns', 'stock_changes')
    group by all
    union all by name
    select distinct 'exports' as source, looked_at from landing.exports_looks where is_complete
    union all by name
    -- The inbox keeps what comes: whatever waits is read by the next look.
    select distinct 'inbox' as source, looked_at from landing.inbox_looks where is_complete
    union all by name
    select distinct 'partner_api' as source, looked_at from landing.partner_looks where is_complete
    union all by name
    -- The run that decides now, for sources that it could not read.
    select distinct source, $now::timestamptz as looked_at, timestamptz 'infinity' as reads_from
    from (
        select 'centra_' || "object" as source
        from landing.centra_pulls
        where "object" in ('orders', 'shipments', 'returns', 'stock_changes')
        union all
        select 'exports' from landing.exports_looks
        where not (select coalesce(arg_max(is_only_feed, batch), false) from landing.inbox_looks)
        union all
        -- it may have been switched off since
        select 'inbox' from landing.inbox_looks having not arg_max(is_complete, batch)
        union all
        select 'partner_api' from landing.partner_looks having not arg_max(is_complete, batch)
    )
),

-- One row per two looks that follow each other.
pauses as (
    select
        source,
        lag(looked_at) over (partition by source order by looked_at, reads_from nulls first) as gap_from,
        looked_at as gap_to,
        reads_from
    from looks
),

-- One row per slice of history that a backfill read.
backfilled_slices as (
    select 'centra_' || "object" as source, window_from, window_to, fetched_at
    from landing.centra_history
    where is_complete
),

-- One row per pause that is longer than a sync may take.
missed_pauses as (
    select
        source, gap_from, gap_to,
        case
            when reads_from is null or reads_from <= gap_from then gap_to
            else (
                select max(backfilled_slices.fetched_at) from backfilled_slices
                where backfilled_slices.source = pauses.source and backfilled_slices.window_from <= pauses.gap_from
                    and backfilled_slices.window_to >= least(pauses.gap_to, pauses.reads_from)
            )
        end as caught_up_at
    from pauses
    where gap_to > gap_from + to_minutes(($sync_every_minutes * 3 // 2)::integer)
),

-- One row per two deliveries that follow each other, by the times that they are about.
pauses_of_files as (
    select
        lag(source_time) over (order by source_time) as gap_from, source_time as gap_to,
        min(first_source_time) as tells_from, min(received_at) as received_at
    from landing.files
    where problem is null and source_time is not null
    group by source_time
    union all
    select max(source_time), $now::timestamptz, null, null from landing.files where problem is null having count(*) > 0
),

deliveries as (
    select *, generate_series(gap_from::date + 1, gap_to::date - 1, interval 1 day)::date[] as whole_days
    from pauses_of_files
)

select
    gap_source_text(source) as source, gap_from, gap_to, date_diff('minute', gap_from, gap_to) // 60 as hours, caught_up_at,
    case when caught_up_at is not null then 'Nothing was read in between; the next read caught up.'
        when gap_to = $now::timestamptz then 'It cannot be read now: see the last run.'
        else 'Part of it was never read: hr-centra backfill --from ' || strftime(gap_from, '%Y-%m-%d') || ' --to '
            || strftime(gap_to, '%Y-%m-%d')
    end as detail
from missed_pauses
union all by name
select
    gap_source_text('export_files') as source, gap_from, gap_to, date_diff('minute', gap_from, gap_to) // 60 as hours,
    case when tells_from <= gap_from + to_hours($exports_every_hours::integer) then received_at end as caught_up_at,
    case
        when tells_from <= gap_from + to_hours(
                $exports_every_hours::integer
            )
            then 'No file covers these hours; the next '
                || 'one reports what happened in them.'
        when gap_to = $now::timestamptz
            then 'No Happy Returns file covers these hours yet: request one, or see [coverage] '
                || 'in the policy.'
        else 'No Happy Returns file covers these hours: request one, or list the days in [coverage] accepted_days.'
    end as detail
from deliveries
where $exports_every_hours > 0
    and gap_to > (select cutover from policy.parameters) -- what was before it is observed as far as it is reported
    and gap_to > gap_from + to_hours($exports_every_hours::integer)
    and not (len(whole_days) > 0 and list_has_all($accepted_days::date[], whole_days))
