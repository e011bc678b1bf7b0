-- kind:  query
-- grain: one row per return that may have changed

-- The returns that may read otherwise than they did: of orders that the last run looked at, and those of which something was said
-- since. since: decision time of the last publication.
with
touched_orders as (
    select order_number from matching.orders_in_play
),

touched_returns as (
    select return_id from staging.returns semi join touched_orders using (order_number)
    union
    select return_id from staging.return_items semi join touched_orders using (order_number)
    union
    select return_id from push.ledger semi join touched_orders using (order_number)
    union
    -- What was said of an exception, or proves that it is over.
    select subject::json ->> 'return_id' from reconciliation.exception_events
    where exception_id in (
            select exception_id from reconciliation.exception_events where coalesce(recorded_at, "at") >= $since
        )
    union
    select return_id from push.adoptions where adopted_at >= $since
)

select return_id from touched_returns where return_id is not null order by return_id;
