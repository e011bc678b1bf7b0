-- makes: reconciliation.feed_days
-- kind:  table
-- grain: one row per feed of Happy Returns and day since its events are received: what it reported, and what it missed

-- A milestone of a unit is its start or its approval, and belongs to the day on which it happened. Until an event may be late it is
-- not counted: it may still come.
delete from reconciliation.feed_days;

insert into reconciliation.feed_days by name
with
beginnings as (
    select min(received_at) as begun_at from landing.events
),

-- One row per unit and milestone.
milestones as (
    select
        started_at as happened_at, started_by_events_at as by_events_at, started_by_files_at as by_files_at,
        started_by_api_at as by_api_at
    from reconciliation.feeds
    union all
    select approved_at, approved_by_events_at, approved_by_files_at, approved_by_api_at from reconciliation.feeds
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
    cross join beginnings
    cross join policy.parameters
    where happened_at >= begun_at and happened_at + to_minutes(parameters.late_minutes) < $now
),

judged_reports as (
    select *, coalesce(reported_at > happened_at + to_minutes(late_minutes), true) as is_late_or_missed from reports
),

feed_milestones as (
    select
        feed, day, count(*) as milestones, count(reported_at) as reported, count(*) filter (reported_at = first_reported_at) as reported_first,
        count(*) filter (is_late_or_missed and reported_at is not null) as late, count(*) filter (reported_at is null) as missed,
        count(*) filter (feed = 'events' and is_late_or_missed and first_reported_at is distinct from reported_at) as repaired
    from judged_reports
    group by feed, day
),

-- One row per day: what came to the inbox.
deliveries as (
    select
        'events' as feed, received_at::date as day, count(*) as received, count(*) filter (repeats is not null) as duplicate,
        count(*) filter (problem is not null) as refused
    from landing.events
    group by all
),

-- What did not verify is kept apart in the inbox, and counted there.
unverified_days as (
    select 'events' as feed, day, sum(unverified)::bigint as unverified from landing.inbox_days
    where vendor = 'happy_returns' group by day
)

select
    feed, day, coalesce(received, 0) as received, coalesce(duplicate, 0) as duplicate, coalesce(refused, 0) as refused,
    coalesce(unverified, 0) as unverified, coalesce(milestones, 0) as milestones, coalesce(reported, 0) as reported,
    coalesce(reported_first, 0) as reported_first, coalesce(late, 0) as late, coalesce(missed, 0) as missed,
    coalesce(repaired, 0) as repaired
from feed_milestones
full join deliveries using (feed, day)
full join unverified_days using (feed, day);
