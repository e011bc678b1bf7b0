-- makes: staging.order_lines, changed_order_lines
-- kind:  table
-- grain: one row per line of an order that is sold by itself

-- One row per line of a changed order that is sold by itself: ordinary ones; a bundle's parts in place of the bundle, where
-- they are known.
create or replace temp table changed_order_lines as
select
    * exclude (kind, place, currency), cast(null as varchar) as bundle_line_id, cast(null as bigint) as per_bundle,
    cast(null as decimal(18, 4)) as bundle_share
from order_lines_as_shown
where kind <> 'BundleItemOrderLine' and order_line_id not in (select bundle_line_id from changed_bundles where is_known)
union all by name
select
    parts.order_line_id, parts.order_number, shown.sku, shown.ean, shown.upc, shown.product_name, true as is_product,
    shown.quantity, shown.cancelled_quantity, shown.returned_quantity,
    (parts.bundle_share / per_bundle)::decimal(18, 4) as unit_price,
    (
        part_of(parts.unit_original_price, weight_upto - weight, weight_upto, weight_whole, parts.currency) / per_bundle
    )::decimal(18, 4)
        as unit_original_price,
    (
        part_of(parts.unit_tax_added, weight_upto - weight, weight_upto, weight_whole, parts.currency) / per_bundle
    )::decimal(18, 4)
        as unit_tax_added,
    part_of(parts.line_value, weight_upto - weight, weight_upto, weight_whole, parts.currency) as line_value,
    part_of(parts.line_tax_added, weight_upto - weight, weight_upto, weight_whole, parts.currency) as line_tax_added,
    parts.tax_percent, parts.bundle_line_id, parts.per_bundle, parts.bundle_share
from changed_parts as parts
join order_lines_as_shown as shown using (order_line_id);

delete from staging.order_lines where order_number in (select order_number from changed_orders);

insert into staging.order_lines by name
select * exclude (line_tax_added) from changed_order_lines;
