-- makes: staging.replacement_stock
-- kind:  table
-- grain: one row per SKU that was read

merge into staging.replacement_stock as known
using (
    -- one row per SKU that was read: as landed last
    select sku, product_size_id, free_quantity, fetched_at
    from landing.centra_replacement_stock
    where batch > $watermark
    qualify row_number() over (partition by sku order by batch desc) = 1
) as new
    on known.sku = new.sku
when matched then
    update set product_size_id = new.product_size_id, free_quantity = new.free_quantity, fetched_at = new.fetched_at
when not matched then
    insert (sku, product_size_id, free_quantity, fetched_at)
    values (new.sku, new.product_size_id, new.free_quantity, new.fetched_at);
