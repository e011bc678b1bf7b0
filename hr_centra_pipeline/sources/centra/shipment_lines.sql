-- makes: staging.shipment_lines
-- kind:  table
-- grain: one row per line of a shipment; a bundle's parts in place of the bundle

delete from staging.shipment_lines where shipment_id in (select shipment_id from changed_shipments);

-- one row per line of a changed shipment, as Centra shows it
create or replace temp table shipment_lines_as_shown as
with
-- one row per line of a changed shipment
lines as (
    select
        shipment_id,
        order_number,
        tax_mode,
        line,
        amount(line -> 'unitPrice') as gross,
        amount(line -> 'unitPriceNet') as net
    from (
        select
            shipment_id, order_number,
            tax_mode_of(
                payload -> '$.order.totals', has_taxed_lines(payload -> 'lines', 'unitPrice', 'unitPriceNet'),
                coalesce(orders.tax_mode, 'included') = 'included'
            ) as tax_mode,
            unnest(items_of(payload -> 'lines')) as line
        from changed_shipments
        left join order_tax_modes as orders using (order_number)
    )
)

select
    cast(line ->> 'id' as bigint) as shipment_line_id,
    shipment_id,
    order_number,
    line ->> '$.orderLine.id' as order_line_id,
    cast(line ->> 'quantity' as bigint) as quantity,
    cast(line ->> 'returnedQuantity' as bigint) as returned_quantity,
    paid_of(gross, net, tax_mode) as unit_price,
    case
        when tax_mode = 'none' then 0
        -- A net value may come unrounded; a unit's tax has its currency's decimals, as the other branch makes it.
        when net is not null then rounded_money((gross - net)::decimal(18, 4), currency_of(line -> 'unitPrice'))
        else tax_in(gross, cast(line ->> '$.orderLine.taxPercent' as decimal(18, 4)), currency_of(line -> 'unitPrice'))
    end as unit_tax,
    added_to(gross, net, tax_mode) as unit_tax_added,
    amount(line -> 'lineValue') as line_value,
    currency_of(line -> 'unitPrice') as currency
from lines;

-- One row per bundle's line of a shipment that holds all of its parts.
create or replace temp table whole_bundles as
select sold.*, sold.order_line_id as bundle_line_id
from shipment_lines_as_shown as sold
where sold.order_line_id in (select bundle_line_id from bundle_places)
    and not exists (
        select 1 from bundle_places as places
        where places.bundle_line_id = sold.order_line_id and not exists (
                select 1 from shipment_lines_as_shown as lines
                where lines.order_line_id = places.order_line_id and lines.shipment_id = sold.shipment_id
                    and lines.quantity = sold.quantity * places.per_bundle
            )
    );

-- In place of a bundle its parts, with their shares of what it cost; the bundle's own line, by which a Return names it, is the
-- one of the same shipment.
insert into staging.shipment_lines by name
select
    lines.*, cast(null as bigint) as bundle_shipment_line_id, cast(null as varchar) as bundle_line_id,
    cast(null as bigint) as per_bundle,
    cast(null as decimal(18, 4)) as bundle_share,
    cast(null as decimal(18, 4)) as bundle_tax,
    cast(null as decimal(18, 4)) as bundle_tax_added
from shipment_lines_as_shown as lines
where order_line_id not in (
        select bundle_line_id from staging.bundles where is_known
        union all
        select order_line_id from staging.order_lines where bundle_line_id is not null
    )
union all by name
select
    * exclude (before, upto, whole) replace (
        (bundle_share / per_bundle)::decimal(18, 4) as unit_price,
        (bundle_tax / per_bundle)::decimal(18, 4) as unit_tax,
        (bundle_tax_added / per_bundle)::decimal(18, 4) as unit_tax_added,
        (bundle_share * quantity / per_bundle)::decimal(18, 4) as line_value
    )
from (
    select
        lines.*, places.bundle_line_id, places.per_bundle, places.before, places.upto, places.whole,
        sold.shipment_line_id as bundle_shipment_line_id,
        coalesce(part_of(sold.unit_price, before, upto, whole, lines.currency), places.bundle_share) as bundle_share,
        coalesce(
            part_of(sold.unit_tax, before, upto, whole, lines.currency),
            tax_in(places.bundle_share, places.tax_percent, lines.currency)
        ) as bundle_tax,
        coalesce(
            part_of(sold.unit_tax_added, before, upto, whole, lines.currency), places.unit_tax_added * places.per_bundle
        )
        ::decimal(18, 4) as bundle_tax_added
    from shipment_lines_as_shown as lines
    join bundle_places as places using (order_line_id)
    left join
        whole_bundles as sold
        on sold.bundle_line_id = places.bundle_line_id and sold.shipment_id = lines.shipment_id
);
