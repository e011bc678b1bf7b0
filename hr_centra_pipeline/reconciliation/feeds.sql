-- makes: reconciliation.feeds, beginnings_of_events, days_with_news
-- kind:  table
-- grain: one row per unit that is reported since Happy Returns' events are received: which feed reported what about it, and when

-- One row: since when events are received, or at least looked for; null: never. What happened before cannot be in one.
create or replace temp table beginnings_of_events as
select min(begun_at) as begun_at
from (
    select min(received_at) as begun_at from landing.events
    union all
    select min(looked_at) from landing.inbox_looks
);

-- Units about which a feed has reported something new since the last run, their return's rows included: they state when it started.
create or replace temp table units_with_news as
with
returns_in_the_news as (
    select distinct return_id, order_number from landing.happy_returns_returns where batch > $since
)

select return_item_id from landing.happy_returns_items
where batch > $since and (select begun_at is not null from beginnings_of_events)
union
select return_item_id from landing.happy_returns_items semi join returns_in_the_news using (return_id, order_number)
where (select begun_at is not null from beginnings_of_events);

-- Days of these units' milestones, as they were and as they are.
create or replace temp table days_with_news as
select unnest([started_at::date, approved_at::date]) as "day"
from reconciliation.feeds
semi join units_with_news using (return_item_id);

delete from reconciliation.feeds where return_item_id in (from units_with_news);

insert into reconciliation.feeds by name
with
-- One row per row of a feed about such a unit, with when we knew it: of an event, when it was received.
reported_rows as (
    select
        items.*,
        date_trunc('second', items.approved_at)::varchar as approved_second,
        date_trunc('second', items.received_at)::varchar as received_second,
        (items.source_time, items.batch, items.source_line) as place,
        coalesce(events.received_at, items.landed_at) as known_at
    from landing.happy_returns_items as items
    semi join units_with_news using (return_item_id)
    left join landing.events as events on items.feed = 'events' and items.source_file = 'event ' || events.delivery_id
),

-- One row per unit and feed: what it says now. An event or an answer that says nothing of something leaves it as it was; a file
-- that says nothing takes an approval back.
last_words as (
    select
        return_item_id,
        feed,
        min(known_at) as known_at,
        min(known_at) filter (approved_at is not null) as approval_known_at,
        map {
            'approved_at': case
                when feed = 'files' then arg_max_null(approved_second, place) else arg_max(approved_second, place)
            end,
            'condition': arg_max("condition", place),
            'dropoff_method': arg_max(dropoff_method, place),
            'exchange_sku': arg_max(exchange_sku, place),
            'received_at': arg_max(received_second, place),
            'refund_type': arg_max(refund_type, place),
            'sku': arg_max(sku, place)
        } as said
    from reported_rows
    group by return_item_id, feed
),

-- One row per unit, feed and column.
answers as (
    select return_item_id, unnest(map_keys(said)) as column_name, unnest(map_values(said)) as answer from last_words
),

-- One row per unit with feeds that contradict each other: in which columns.
contradictions as (
    select return_item_id, string_agg(column_name, ' ' order by column_name) as differs_in
    from (
        select return_item_id, column_name from answers where answer is not null
        group by return_item_id, column_name having count(distinct answer) > 1
    )
    group by return_item_id
),

-- One row per unit.
units_by_feed as (
    select
        return_item_id, string_agg(feed, ' ' order by feed) as feeds,
        min(known_at) filter (feed = 'events') as started_by_events_at,
        min(known_at) filter (feed = 'files') as started_by_files_at,
        min(known_at) filter (feed = 'api') as started_by_api_at,
        min(approval_known_at) filter (feed = 'events') as approved_by_events_at,
        min(approval_known_at) filter (feed = 'files') as approved_by_files_at,
        min(approval_known_at) filter (feed = 'api') as approved_by_api_at
    from last_words
    group by return_item_id
)

select
    units_by_feed.*, items.return_id, items.order_number, items.return_created_at as started_at, items.approved_at,
    case
        when contradictions.differs_in is not null then 'differ'
        when units_by_feed.feeds in ('api', 'events', 'files') then 'only_' || units_by_feed.feeds
        else 'agree'
    end as verdict,
    contradictions.differs_in
from units_by_feed
join staging.return_items as items using (return_item_id)
cross join beginnings_of_events
left join contradictions using (return_item_id)
where items.return_created_at >= begun_at or items.approved_at >= begun_at or started_by_events_at is not null;

insert into days_with_news
select unnest([started_at::date, approved_at::date]) as "day"
from reconciliation.feeds
semi join units_with_news using (return_item_id);
