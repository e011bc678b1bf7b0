-- makes: bundle_places
-- kind:  step
-- grain: one row per part of a known bundle, of orders whose shipments or Returns changed

-- Where a part is in its bundle's price: between before and upto, of whole.
create or replace temp table bundle_places as
select
    order_line_id, bundle_line_id, per_bundle, bundle_share, tax_percent, unit_tax_added,
    (sum(bundle_share) over parts)::decimal(18, 4) as upto,
    (upto - bundle_share)::decimal(18, 4) as before,
    (sum(bundle_share) over (partition by bundle_line_id))::decimal(18, 4) as whole
from staging.order_lines
where bundle_line_id is not null and order_number in (
        select order_number from changed_shipments
        union all
        select order_number from landing.centra_returns where batch > $watermark
    )
window parts as (partition by bundle_line_id order by try_cast(order_line_id as bigint), order_line_id);
