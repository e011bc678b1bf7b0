-- One row per effect key that stands in Centra: in the comment of a Return, the text of a stock change, an order's note.
delete from effects.observed;
insert into effects.observed by name
with
seen as (
    select
        unnest(effect_keys) as effect_key, cast(null as varchar) as effect_kind,
        centra_return_id::varchar as centra_id, packet_key, status = 'COMPLETED' as is_complete, created_at as seen_at
    from staging.centra_returns where deleted_at is null and len(coalesce(effect_keys, [])) > 0
    union all by name
    select
        unnest(effect_keys) as effect_key, 'inventory_adjustment' as effect_kind,
        stock_change_id::varchar as centra_id, cast(null as varchar) as packet_key, true as is_complete,
        created_at as seen_at
    from staging.stock_changes where len(coalesce(effect_keys, [])) > 0
    union all by name
    -- The keys in a replacement order's comment are an exchange's: its Return tells how far that came.
    select
        unnest(effect_keys) as effect_key, 'status_update' as effect_kind,
        order_number as centra_id, cast(null as varchar) as packet_key, true as is_complete, updated_at as seen_at
    from staging.orders where len(coalesce(effect_keys, [])) > 0 and origin_return_key is null
)

select * from seen
qualify row_number() over (partition by effect_key order by is_complete desc, seen_at, centra_id) = 1;
