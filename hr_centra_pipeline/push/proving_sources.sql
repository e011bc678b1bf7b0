-- kind:  query
-- grain: one row per source that proves effects: how far back and since when it was read completely

-- One row per source that proves effects: whether it was read back to the cut-over, and completely since the last turn (and which
-- turn that was). What was read before this database was bound to another address proves nothing.
with
turns as (
    select
        coalesce(max(batch), -1) as last_batch, arg_max(reason, (batch, turned_at)) as reason,
        coalesce(max(batch) filter (reason = 'rebound'), -1) as rebound_batch
    from meta.turns
),

-- One row per source and batch that read it completely.
complete_reads as (
    select pulls."object" as source, pulls.batch, coalesce(pulls.window_from <= parameters.cutover, false) as is_back
    from landing.centra_pulls as pulls cross join policy.parameters
    where pulls.is_complete
    union all
    select 'exports', batch, true from landing.exports_looks where is_complete
    union all
    -- Where no export files are delivered, what is not in the inbox is not known to Happy Returns' feeds at all.
    select 'exports', batch, true from landing.inbox_looks where is_complete and is_only_feed
)

select
    sources.source,
    coalesce(bool_or(complete_reads.is_back and complete_reads.batch > turns.rebound_batch), false) as is_back,
    turns.last_batch = -1 or coalesce(bool_or(complete_reads.batch > turns.last_batch), false) as is_since,
    turns.reason
from (select unnest(['orders', 'shipments', 'returns', 'stock_changes', 'exports']) as source) as sources
cross join turns
left join complete_reads using (source)
group by sources.source, turns.last_batch, turns.rebound_batch, turns.reason;
