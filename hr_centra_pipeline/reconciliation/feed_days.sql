-- makes: reconciliation.feed_days
-- kind:  table
-- grain: one row per feed of Happy Returns and day since its events are received: what it reported, and what it missed
-- loop:  reconciliation.feed_days: only what was counted differently at the last run is counted again

-- A milestone of a unit is its start or its approval, and belongs to the day on which it happened. Until an event may be late it is
-- not counted: it may still come.

-- One row per day that is counted again: one with news of its units, of deliveries or of what did not verify, or whose milestones were
-- too young at the last run.
create or replace temp table days_to_count as
with
youngest_days as (
    select ($last_run_at::timestamptz - to_minutes(late_minutes))::date as "day" from policy.parameters
),

unverified_days as (
    select "day", unverified from landing.inbox_days where vendor = 'happy_returns'
),

candidate_days as (
    from days_with_news
    union
    select received_at::date from landing.events where batch > $since
    union
    select unverified_days."day" from unverified_days
    left join reconciliation.feed_days as counted on counted.feed = 'events' and counted."day" = unverified_days."day"
    where unverified_days.unverified is distinct from counted.unverified
    union
    select unnest(generate_series(youngest_days."day", $now::timestamptz::date, interval 1 day))::date from youngest_days
)

select distinct candidate_days."day"
from candidate_days
cross join beginnings_of_events
where candidate_days."day" >= begun_at::date;

delete from reconciliation.feed_days where "day" in (from days_to_count);

insert into reconciliation.feed_days by name
with
-- One row per unit and milestone.
milestones as (
    select
        started_at as happened_at, started_by_events_at as by_events_at, started_by_files_at as by_files_at,
        started_by_api_at as by_api_at
    from reconciliation.feeds
    where started_at::date in (from days_to_count)
    union all
    select approved_at, approved_by_events_at, approved_by_files_at, approved_by_api_at from reconciliation.feeds
    where approved_at::date in (from days_to_count)
),

-- One row per milestone and feed: when that feed reported it, if it did.
reports as (
    select
        happened_at::date as day,
        happened_at,
        parameters.late_minutes,
        least(by_events_at, by_files_at, by_api_at) as first_reported_at,
        unnest(['events', 'files', 'api']) as feed, unnest([by_events_at, by_files_at, by_api_at]) as reported_at
    from milestones
    cross join beginnings_of_events
    cross join policy.parameters
    where happened_at >= begun_at and happened_at + to_minutes(parameters.late_minutes) < $now
),

-- A shop without files, or without the partner API, misses nothing by them.
feeds_in_use as (
    select 'events' as feed
    union all
    select 'files' where exists (from reconciliation.feeds where started_by_files_at is not null)
    union all
    select 'api' where exists (from reconciliation.feeds where started_by_api_at is not null)
),

judged_reports as (
    select *, coalesce(reported_at > happened_at + to_minutes(late_minutes), true) as is_late_or_missed from reports
),

feed_milestones as (
    select
        feed,
        day,
        count(*) as milestones,
        count(reported_at) as reported,
        count(*) filter (reported_at = first_reported_at) as reported_first,
        count(*) filter (is_late_or_missed and reported_at is not null) as late, count(*) filter (reported_at is null) as missed,
        count(*) filter (feed = 'events' and is_late_or_missed and first_reported_at is distinct from reported_at) as repaired
    from judged_reports
    semi join feeds_in_use using (feed)
    group by feed, day
),

-- One row per day: what came to the inbox.
deliveries as (
    select
        'events' as feed, received_at::date as day, count(*) as received, count(*) filter (repeats is not null) as duplicate,
        count(*) filter (problem is not null) as refused
    from landing.events
    where received_at::date in (from days_to_count)
    group by all
),

-- What did not verify is kept apart in the inbox, and counted there.
unverified_days as (
    select 'events' as feed, day, sum(unverified)::bigint as unverified from landing.inbox_days
    where vendor = 'happy_returns' and "day" in (from days_to_count) group by day
)

select
    feed, day, coalesce(received, 0) as received, coalesce(duplicate, 0) as duplicate, coalesce(refused, 0) as refused,
    coalesce(unverified, 0) as unverified, coalesce(milestones, 0) as milestones, coalesce(reported, 0) as reported,
    coalesce(reported_first, 0) as reported_first, coalesce(late, 0) as late, coalesce(missed, 0) as missed,
    coalesce(repaired, 0) as repaired
from feed_milestones
full join deliveries using (feed, day)
full join unverified_days using (feed, day);
