-- makes: staging.warehouses
-- kind:  table
-- grain: one row per warehouse

merge into staging.warehouses as known
using (
    -- one row per warehouse that changed: as landed last
    select
        warehouse_id,
        payload ->> 'name' as name,
        payload ->> 'status' as status,
        coalesce(policy.meaning_of('warehouse_status', payload ->> 'status') = 'active', false) as is_active,
        payload ->> 'stockMaster' as stock_master,
        fetched_at
    from landing.centra_warehouses
    where batch > $watermark
    qualify row_number() over (partition by warehouse_id order by batch desc) = 1
) as new
    on known.warehouse_id = new.warehouse_id
when matched then
    update
        set
            name = new.name,
            status = new.status,
            is_active = new.is_active,
            stock_master = new.stock_master,
            fetched_at = new.fetched_at
when not matched then
    insert (warehouse_id, name, status, is_active, stock_master, fetched_at)
    values (new.warehouse_id, new.name, new.status, new.is_active, new.stock_master, new.fetched_at);
