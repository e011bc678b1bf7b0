-- makes: staging.bundles, changed_bundles, changed_parts
-- kind:  table
-- grain: one row per bundle of an order, as a whole

-- One row per part of a bundle: Centra shows it as a line of its own, after its bundle's. Which bundle a part belongs to is
-- known where that gives each bundle parts, each part a bundle, and whole numbers of each part in each; else nothing is known
-- about the bundles of the order.
create or replace temp table parts_as_shown as
with
bundle_lines as (
    select
        lines.* exclude (sku, ean, upc, product_name),
        lines.quantity + lines.cancelled_quantity as ordered,
        last_value(case when kind = 'BundleOrderLine' then order_line_id end ignore nulls) over (
            partition by order_number order by place rows between unbounded preceding and current row
        ) as bundle_line_id
    from order_lines_as_shown as lines
    where kind in ('BundleOrderLine', 'BundleItemOrderLine')
)

select
    parts.order_number, parts.order_line_id, parts.place, bundles.order_line_id as bundle_line_id,
    case when bundles.ordered > 0 and parts.ordered % bundles.ordered = 0 then parts.ordered // bundles.ordered end
        as per_bundle,
    -- What a part costs when it is sold alone; where what its parts show sums to the bundle's price, that is what they cost in it.
    case
        when sum(parts.unit_price * per_bundle) over (partition by parts.bundle_line_id) = bundles.unit_price then parts.unit_price
        else coalesce(nullif(parts.unit_original_price, 0), parts.unit_price)
    end as own_price,
    parts.quantity, bundles.quantity as bundles
from bundle_lines as parts
left join bundle_lines as bundles on bundles.order_line_id = parts.bundle_line_id
where parts.kind = 'BundleItemOrderLine';

-- One row per bundle of a changed order, with what of it Centra shows.
create or replace temp table changed_bundles as
with
part_sums as (
    select
        bundle_line_id, sum(per_bundle)::bigint as parts, sum(own_price * per_bundle) > 0 as has_own_prices
    from parts_as_shown where bundle_line_id is not null
    group by bundle_line_id
),

readable_orders as (
    select
        order_number,
        bool_and(coalesce(bundle_line_id is not null and per_bundle > 0 and quantity = per_bundle * bundles, false))
            as is_known
    from parts_as_shown group by order_number
)

select
    lines.order_line_id as bundle_line_id,
    lines.order_number,
    lines.sku,
    lines.product_name,
    lines.quantity,
    lines.currency,
    lines.unit_price,
    lines.unit_original_price,
    lines.unit_tax_added,
    lines.line_value,
    lines.line_tax_added,
    lines.tax_percent,
    coalesce(part_sums.parts, 0) as parts, coalesce(part_sums.has_own_prices, false) as has_own_prices,
    coalesce(readable_orders.is_known, false) and bool_and(part_sums.bundle_line_id is not null) over (
        partition by lines.order_number
    ) as is_known
from order_lines_as_shown as lines
left join part_sums on part_sums.bundle_line_id = lines.order_line_id
left join readable_orders on readable_orders.order_number = lines.order_number
where lines.kind = 'BundleOrderLine';

-- One row per part of a known bundle: where it is in the bundle's price, shared by the parts' own prices (by their number
-- where none is shown). The range from before to upto, out of whole, is the part's share of any amount of the bundle.
create or replace temp table changed_parts as
select
    parts.*, bundles.* exclude (bundle_line_id, order_number, quantity, is_known, parts),
    case when has_own_prices then parts.own_price * per_bundle else per_bundle end as weight,
    (sum(weight) over (partition by bundle_line_id order by place))::decimal(18, 4) as weight_upto,
    (sum(weight) over (partition by bundle_line_id))::decimal(18, 4) as weight_whole,
    part_of(bundles.unit_price, (weight_upto - weight)::decimal(18, 4), weight_upto, weight_whole, currency)
        as bundle_share
from parts_as_shown as parts
join changed_bundles as bundles using (bundle_line_id)
where bundles.is_known;

delete from staging.bundles where order_number in (select order_number from changed_orders);

insert into staging.bundles by name
select bundle_line_id, order_number, sku, product_name, quantity, parts, currency, unit_price, has_own_prices, is_known
from changed_bundles;
