-- makes: staging.returns
-- kind:  table
-- grain: one row per return on an order, in its latest state

-- Here and in the other files: latest by source time; at the same source time the later line of the later file.
delete from staging.returns where exists (
        select 1 from returns_with_news as returns_changed
        where returns_changed.return_id = returns.return_id and returns_changed.order_number = returns.order_number
    );
insert into staging.returns by name
select
    * exclude (profile, row_sha256, landed_at, texts, batch, said_batch, feed, is_whole), feed as feeds, batch as landed_batch
from landing.happy_returns_returns
semi join returns_with_news using (return_id, order_number)
anti join partly_reported_returns using (return_id, order_number)
qualify row_number() over (
        partition by return_id, order_number order by source_time desc, batch desc, source_line desc
    ) = 1;

-- Those of which an event or the partner API reports, too.
insert into staging.returns by name
with
-- whole_states: whole rows of files up to this one; what came before the last of them counts no more.
reported_rows as (
    select
        *, count(*) filter (where feed = 'files' and is_whole is not false) over states as whole_states,
        return_status_rank(refund_status) as rank
    from landing.happy_returns_returns
    semi join partly_reported_returns using (return_id, order_number)
    window states as (partition by return_id, order_number order by source_time, batch, source_line)
),

-- The status of a return never falls by an event.
folded_states as (
    select
        return_id, order_number, source_time, source_file, source_line, batch as landed_batch,
        arg_max(refund_status, rank) over states as refund_status,
        last_value(columns(* exclude (
            return_id, order_number, source_time, source_file, source_line, batch, refund_status, rank, profile, row_sha256,
            landed_at, texts, said_batch, feed, is_whole, whole_states
        )) ignore nulls) over states
    from reported_rows
    window
        states as (
            partition by return_id, order_number, whole_states order by source_time, batch, source_line rows unbounded preceding
        )
    qualify row_number() over (
            partition by return_id, order_number order by source_time desc, batch desc, source_line desc
        ) = 1
),

feeds_of_returns as (
    select return_id, order_number, string_agg(distinct feed, ' ' order by feed) as feeds
    from reported_rows
    group by all
)

select * from folded_states join feeds_of_returns using (return_id, order_number);
