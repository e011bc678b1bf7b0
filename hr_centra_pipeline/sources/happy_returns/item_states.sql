-- makes: item_states
-- kind:  step
-- grain: one row per changed unit and source time: its state from then on

-- A later row of the same source time replaces the one before.
create or replace temp table item_states as
with
whole_states as (
    select
        * exclude (profile, row_sha256, landed_at, texts, said_batch, feed, is_whole),
        feed as feeds
    from landing.happy_returns_items
    semi join changed_items using (return_item_id)
    anti join partly_reported_items using (return_item_id)
    qualify row_number() over (
            partition by return_item_id, source_time order by batch desc, source_line desc
        ) = 1
),

-- Rows of units of which an event or the partner API reports. whole_states: rows of files up to this one; what came before the
-- last of them counts no more.
reported_rows as (
    select
        *, count(*) filter (where feed = 'files' and is_whole is not false) over (
            partition by return_item_id order by source_time, batch, source_line
        ) as whole_states
    from landing.happy_returns_items
    semi join partly_reported_items using (return_item_id)
),

-- What a row does not say is as it was.
folded_states as (
    select
        return_item_id, source_time, source_file, source_line, batch,
        last_value(columns(* exclude (
            return_item_id, source_time, source_file, source_line, batch, profile, row_sha256, landed_at, texts, said_batch, feed,
            is_whole, whole_states
        )) ignore nulls) over states
    from reported_rows
    window states as (partition by return_item_id, whole_states order by source_time, batch, source_line rows unbounded preceding)
    qualify row_number() over (
            partition by return_item_id, source_time order by batch desc, source_line desc
        ) = 1
),

feeds_of_units as (
    select return_item_id, string_agg(distinct feed, ' ' order by feed) as feeds from reported_rows group by all
)

select *, coalesce(disposition, condition) as grade from whole_states
union all by name
select *, coalesce(disposition, condition) as grade from folded_states join feeds_of_units using (return_item_id);
