-- makes: staging.bundles, staging.centra_return_lines, staging.centra_returns, staging.order_lines, staging.orders,
--        staging.payment_entries, staging.replacement_stock, staging.shipment_lines, staging.shipments,
--        staging.status_marks, staging.stock_changes, staging.warehouses, paying_orders
-- kind:  table
-- grain: one row per object of Centra, as landed last

-- Landed JSON to typed tables, changed keys only: those with a landed row above the watermark. Amounts are text in the
-- JSON and go straight to decimal(18, 4).

create or replace temp macro amount(money) as cast(money ->> '$.value' as decimal(18, 4));
create or replace temp macro currency_of(money) as money ->> '$.currency.code';
create or replace temp macro keys_in(marks) as list_distinct(regexp_extract_all(marks, '\bHR[A-Z2-7]{13}\b'));
-- express codes and ids alike: every word that is no key of ours
create or replace temp macro words_in(marks) as coalesce(
    list_distinct(
        list_filter(
            string_split_regex(marks, '[\s,;#]+'),
            lambda word: word <> '' and not regexp_full_match(word, '(HR|PK)[A-Z2-7]{13}')
        )
    ),
    []
);
create or replace temp macro items_of(list) as from_json(coalesce(list, '[]'), '["json"]');
-- What Centra does with the tax of an order or Return: it is in its values, is added to them, or there is none (export: what
-- the values contain is deducted). Unknown where it was landed before we read it. A voucher over all of it leaves no tax: then
-- the lines tell (has_taxed_lines), and whether their values with tax make the total (sums_with_tax).
create or replace temp macro amount_at(object, path) as cast(
    json_extract_string(object, '$.' || path || '.value') as decimal(18, 4)
);
create or replace temp macro tax_mode_of(totals, has_taxed_lines, sums_with_tax) as case
    when amount_at(totals, 'taxAdded') is null then null
    when amount_at(totals, 'taxAdded') <> 0 then 'added'
    when amount_at(totals, 'taxDeducted') <> 0 then 'none'
    when amount_at(totals, 'taxIncluded') <> 0 then 'included'
    when has_taxed_lines then case when sums_with_tax then 'included' else 'added' end
    else 'none'
end;
create or replace temp macro has_taxed_lines(lines, gross, net) as len(list_filter(
    items_of(lines), lambda line: amount_at(line, net) is not null and amount_at(line, gross) <> amount_at(line, net)
)) > 0;
create or replace temp macro sum_of(lines, field) as
coalesce(list_sum(list_transform(items_of(lines), lambda line: amount_at(line, field))), 0)::decimal(38, 4);

-- What a customer pays for a value, of which Centra shows both readings; and how much of that it adds to the value that it keeps
-- (negative: deducts from it).
create or replace temp macro paid_of(gross, net, mode) as case
    when mode = 'none' then coalesce(net, gross) else gross
end;
create or replace temp macro added_to(gross, net, mode) as
case mode when 'added' then gross - coalesce(net, gross) when 'none' then coalesce(net, gross) - gross else 0 end;
-- The tax by all rules of one cost. It is given back, or taken off, together with its cost: Centra's signs are not needed.
create or replace temp macro tax_by_rules(rules, field) as
coalesce(abs(list_sum(list_transform(items_of(rules), lambda rule: amount_at(rule, field)))), 0)::decimal(18, 4);
create or replace temp macro added_by_rules(rules) as tax_by_rules(rules, 'taxAdded')
- tax_by_rules(rules, 'taxDeducted');

-- Lines whose values make the order: a part's are in its bundle's.
create or replace temp macro counted(lines) as list_filter(
    items_of(lines), lambda line: (line ->> '__typename') is distinct from 'BundleItemOrderLine'
);
create or replace temp macro sum_of_counted(lines, field) as
coalesce(list_sum(list_transform(counted(lines), lambda line: amount_at(line, field))), 0)::decimal(38, 4);

-- ---------------------------------------------------------------- orders, lines

-- one row per order that changed: as landed last
create or replace temp table changed_orders as
select
    order_number, payload, updated_at, fetched_at,
    tax_mode_of(
        payload -> 'totals', has_taxed_lines(payload -> 'lines', 'lineValue', 'lineValueNet'),
        amount(payload -> 'grandTotal')
        = sum_of_counted(payload -> 'lines', 'lineValue') + amount(payload -> '$.totals.shipping')
        + amount(payload -> '$.totals.handling') - abs(amount(payload -> '$.totals.discounts'))
    ) as tax_mode
from landing.centra_orders
where order_number in (select order_number from landing.centra_orders where batch > $watermark)
qualify row_number() over (partition by order_number order by batch desc) = 1;

-- one row per line of a changed order
create or replace temp table lines_as_shown as
with
lines as (
    select
        order_number, tax_mode, unnest(items_of(payload -> 'lines')) as line,
        generate_subscripts(items_of(payload -> 'lines'), 1) as place
    from changed_orders
)

select
    line ->> '__typename' as kind,
    place,
    currency_of(line -> 'unitPrice') as currency,
    line ->> 'id' as order_line_id,
    order_number,
    line ->> '$.productSize.SKU' as sku,
    line ->> '$.productSize.EAN' as ean,
    line ->> '$.productSize.UPC' as upc,
    line ->> 'productName' as product_name,
    (line ->> '__typename') = 'ProductOrderLine' as is_product,
    cast(line ->> 'quantity' as bigint) as quantity,
    cast(line ->> 'cancelledQuantity' as bigint) as cancelled_quantity,
    cast(line ->> 'returnedQuantity' as bigint) as returned_quantity,
    paid_of(amount(line -> 'unitPrice'), amount(line -> 'unitPriceNet'), tax_mode) as unit_price,
    paid_of(amount(line -> 'unitOriginalPrice'), amount(line -> 'unitOriginalPriceNet'), tax_mode)
        as unit_original_price,
    added_to(amount(line -> 'unitPrice'), amount(line -> 'unitPriceNet'), tax_mode) as unit_tax_added,
    paid_of(amount(line -> 'lineValue'), amount(line -> 'lineValueNet'), tax_mode) as line_value,
    added_to(amount(line -> 'lineValue'), amount(line -> 'lineValueNet'), tax_mode) as line_tax_added,
    cast(line ->> 'taxPercent' as decimal(18, 4)) as tax_percent
from lines;

-- ---------------------------------------------------------------- bundles
-- One row per part of a bundle: Centra shows it as a line of its own, after its bundle's. Which bundle a part belongs to is
-- known where that gives each bundle parts, each part a bundle, and whole numbers of each part in each; else nothing is known
-- about the bundles of the order.
create or replace temp table parts_as_shown as
with
placed as (
    select
        lines.* exclude (sku, ean, upc, product_name),
        lines.quantity + lines.cancelled_quantity as ordered,
        last_value(case when kind = 'BundleOrderLine' then order_line_id end ignore nulls) over (
            partition by order_number order by place rows between unbounded preceding and current row
        ) as bundle_line_id
    from lines_as_shown as lines
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
from placed as parts
left join placed as bundles on bundles.order_line_id = parts.bundle_line_id
where parts.kind = 'BundleItemOrderLine';

-- One row per bundle of a changed order, with what of it Centra shows.
create or replace temp table changed_bundles as
with
made_of as (
    select
        bundle_line_id, sum(per_bundle)::bigint as parts, sum(own_price * per_bundle) > 0 as has_own_prices
    from parts_as_shown where bundle_line_id is not null
    group by bundle_line_id
),

understood as (
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
    coalesce(made_of.parts, 0) as parts, coalesce(made_of.has_own_prices, false) as has_own_prices,
    coalesce(understood.is_known, false) and bool_and(made_of.bundle_line_id is not null) over (
        partition by lines.order_number
    ) as is_known
from lines_as_shown as lines
left join made_of on made_of.bundle_line_id = lines.order_line_id
left join understood on understood.order_number = lines.order_number
where lines.kind = 'BundleOrderLine';

-- One row per part of a known bundle: where it is in the bundle's price, shared by the parts' own prices (by their number
-- where none is shown). What lies between before and upto, of whole, is the part's share of any amount of the bundle.
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

-- One row per line of a changed order that is sold by itself: ordinary ones; a bundle's parts in place of the bundle, where
-- they are known.
create or replace temp table changed_order_lines as
select
    * exclude (kind, place, currency), cast(null as varchar) as bundle_line_id, cast(null as bigint) as per_bundle,
    cast(null as decimal(18, 4)) as bundle_share
from lines_as_shown
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
join lines_as_shown as shown using (order_line_id);

delete from staging.bundles where order_number in (select order_number from changed_orders);

insert into staging.bundles by name
select bundle_line_id, order_number, sku, product_name, quantity, parts, currency, unit_price, has_own_prices, is_known
from changed_bundles;

delete from staging.orders where order_number in (select order_number from changed_orders);

insert into staging.orders by name
with
-- one row per changed order: its costs as Centra keeps them, and the tax that Centra adds to all of them together: what its
-- total has beyond its lines
costs as (
    select
        order_number, tax_mode, currency_of(payload -> 'grandTotal') as currency,
        paid_of(amount(payload -> 'grandTotal'), amount(payload -> 'grandTotalNet'), tax_mode) as grand_total,
        amount(payload -> '$.totals.shipping') as shipping,
        amount(payload -> '$.totals.handling') as handling,
        abs(amount(payload -> '$.totals.discounts')) as discounts, -- Centra's sign of it is not documented
        coalesce(lines.line_value, 0) as goods,
        coalesce(lines.line_tax_added, 0) as goods_added
    from changed_orders
    left join (
        select
            order_number,
            sum(line_value)::decimal(18, 4) as line_value,
            sum(line_tax_added)::decimal(18, 4) as line_tax_added
        from changed_order_lines group by order_number
    ) as lines using (order_number)
),

-- A voucher's tax is that of the goods that it is taken off: Centra shows it of Returns only. The rest is the shipping's.
estimated as (
    select
        *, grand_total::decimal(38, 4) - goods - (shipping + handling - discounts) as costs_added,
        coalesce(share_of(goods_added, discounts, goods - goods_added, currency), 0) as discount_added,
        coalesce(share_of(goods_added, shipping + handling, goods - goods_added, currency), 0) as shipping_added
    from costs
),

taxed as (
    select
        order_number, shipping, handling, discounts, grand_total,
        (case
            when coalesce(tax_mode, 'included') = 'included' or shipping + handling = 0 then 0
            -- what is no possible tax of the shipping is something else: then it is taxed like the goods
            when abs(costs_added + discount_added) > shipping + handling
                or (costs_added + discount_added) * case tax_mode when 'none' then -1 else 1 end < 0 then shipping_added
            else costs_added + discount_added
        end)::decimal(18, 4) as shipping_tax_added,
        (case when coalesce(tax_mode, 'included') = 'included' or discounts = 0 then 0
            when shipping + handling = 0 then -costs_added
            else discount_added
        end)::decimal(18, 4) as discount_tax_added
    from estimated
)

select
    order_number,
    payload ->> 'id' as order_id,
    payload ->> 'status' as status,
    policy.meaning_of('order_status', payload ->> 'status') = 'cancelled' as is_cancelled,
    cast(payload ->> 'isInternal' as boolean) as is_internal,
    currency_of(payload -> 'grandTotal') as currency,
    payload ->> '$.country.code' as country,
    cast(payload ->> '$.customer.id' as bigint) as customer_id,
    tax_mode,
    taxed.grand_total,
    taxed.shipping,
    taxed.handling,
    taxed.discounts,
    taxed.shipping_tax_added,
    taxed.discount_tax_added,
    -- what its payments say: order_money.sql
    0 as captured,
    0 as capture_pending,
    false as has_unknown_payment,
    cast(payload ->> '$.market.id' as bigint) as market_id,
    cast(payload ->> '$.pricelist.id' as bigint) as pricelist_id,
    nullif(array_to_string(regexp_extract_all(payload ->> 'internalComment', '\[hr-centra [^\]\n]*\]'), chr(10)), '')
        as our_note,
    coalesce(keys_in(payload ->> 'internalComment'), []) as effect_keys,
    nullif(regexp_extract(payload ->> 'internalComment', '\bPK[A-Z2-7]{13}\b'), '') as origin_return_key,
    cast(payload ->> 'createdAt' as timestamptz) as created_at,
    updated_at,
    fetched_at
from changed_orders
join taxed using (order_number);

delete from staging.order_lines where order_number in (select order_number from changed_orders);

insert into staging.order_lines by name
select * exclude (line_tax_added) from changed_order_lines;

-- ---------------------------------------------------------------- shipments, lines

-- one row per shipment that changed: as landed last
create or replace temp table changed_shipments as
select shipment_id, order_number, payload, updated_at
from landing.centra_shipments
where shipment_id in (select shipment_id from landing.centra_shipments where batch > $watermark)
    or order_number in (select order_number from changed_bundles) -- what its parts are, their order says
qualify row_number() over (partition by shipment_id order by batch desc) = 1;

delete from staging.shipments where shipment_id in (select shipment_id from changed_shipments);

insert into staging.shipments by name
select
    shipment_id,
    payload ->> 'number' as shipment_number,
    order_number,
    cast(payload ->> 'isShipped' as boolean) as is_shipped,
    cast(payload ->> 'isCaptured' as boolean) as is_captured,
    cast(payload ->> 'isPaid' as boolean) as is_paid,
    cast(payload ->> 'isGoodToGo' as boolean) as is_good_to_go,
    amount(payload -> 'grandTotal') as grand_total,
    cast(payload ->> 'createdAt' as timestamptz) as created_at,
    updated_at,
    cast(payload ->> 'shippedAt' as timestamptz) as shipped_at
from changed_shipments;

delete from staging.shipment_lines where shipment_id in (select shipment_id from changed_shipments);

-- One row per part of a known bundle: where it is in its bundle's price.
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
        left join staging.orders as orders using (order_number)
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

-- ---------------------------------------------------------------- Returns, lines

-- one row per Return that changed or was found deleted: as landed last
create or replace temp table changed_returns as
select
    centra_return_id, order_number, payload, is_deleted, created_at, fetched_at,
    tax_mode_of(
        payload -> 'totals', has_taxed_lines(payload -> 'lines', 'lineValue', 'lineValueNet'),
        amount(payload -> 'grandTotal')
        = sum_of(payload -> 'lines', 'lineValue') + amount(payload -> '$.totals.shipping')
        + amount(payload -> '$.totals.handling') - abs(amount(payload -> '$.totals.discounts'))
        - abs(amount(payload -> '$.totals.returnCost'))
    ) as tax_mode
from landing.centra_returns
where centra_return_id in (select centra_return_id from landing.centra_returns where batch > $watermark)
    or order_number in (select order_number from changed_shipments semi join staging.bundles using (order_number))
qualify row_number() over (partition by centra_return_id order by batch desc) = 1;

-- one row per line of a changed Return
create or replace temp table return_lines_as_shown as
with
lines as (
    select centra_return_id, order_number, tax_mode, unnest(items_of(payload -> 'lines')) as line from changed_returns
),

-- one row per line: the tax that is owed with it, in the price or on top of it; what was deducted (export) is not owed
taxes as (
    select line ->> 'id' as line_id, sum(amount(rule -> 'taxIncluded') + amount(rule -> 'taxAdded')) as line_tax
    from (select line, unnest(items_of(line -> 'appliedTaxRules')) as rule from lines)
    group by line_id
)

select
    cast(line ->> 'id' as bigint) as centra_return_line_id,
    centra_return_id,
    order_number,
    cast(line ->> '$.shipmentLine.id' as bigint) as shipment_line_id,
    line ->> '$.orderLine.id' as order_line_id,
    cast(line ->> 'quantity' as bigint) as quantity,
    paid_of(amount(line -> 'lineValue'), amount(line -> 'lineValueNet'), tax_mode) as line_value,
    coalesce(rounded_money(line_tax::decimal(18, 4), currency_of(line -> 'lineValue')), 0)::decimal(18, 4) as line_tax,
    cast(line ->> '$.orderLine.taxPercent' as decimal(18, 4)) as tax_percent
from lines
left join taxes on line_id = (line ->> 'id');

-- In place of a bundle that is returned its parts, with their shares of what the Return gives for it.
create or replace temp table changed_return_lines as
select *, cast(null as bigint) as named_shipment_line_id, cast(null as bigint) as named_quantity
from return_lines_as_shown
where shipment_line_id not in (
        select bundle_shipment_line_id from staging.shipment_lines
        where bundle_shipment_line_id is not null and order_number in (select order_number from changed_returns)
    )
union all by name
select
    lines.* replace (
        packed.shipment_line_id as shipment_line_id,
        places.order_line_id as order_line_id,
        lines.quantity * places.per_bundle as quantity,
        part_of(lines.line_value, before, upto, whole, packed.currency) as line_value,
        part_of(lines.line_tax, before, upto, whole, packed.currency) as line_tax
    ),
    lines.shipment_line_id as named_shipment_line_id,
    lines.quantity as named_quantity
from return_lines_as_shown as lines
join bundle_places as places on places.bundle_line_id = lines.order_line_id
join staging.shipment_lines as packed on packed.order_line_id = places.order_line_id
    and packed.bundle_shipment_line_id = lines.shipment_line_id;

delete from staging.centra_returns where centra_return_id in (select centra_return_id from changed_returns);

insert into staging.centra_returns by name
with
parts as (
    select
        *,
        currency_of(payload -> 'grandTotal') as currency,
        coalesce((
            select sum(lines.line_value) from changed_return_lines as lines
            where lines.centra_return_id = changed_returns.centra_return_id
        ), 0)::decimal(18, 4) as line_values,
        -- Of our own Returns, what the return cost says of a voucher that Centra keeps on another shipment (push/returns.py).
        case when regexp_matches(
                    payload ->> 'comment', '\bPK[A-Z2-7]{13}\b'
                )
                then least(
                        coalesce(try_cast(
                            regexp_extract(
                                payload ->> 'comment', '\bvoucher ([0-9]+(\.[0-9]{1,4})?)\b', 1
                            ) as decimal(
                                18, 4
                            )
                        ), 0),
                        abs(amount(payload -> '$.totals.returnCost'))
                    )
            else 0
        end::decimal(18, 4) as voucher_in_cost,
        abs(amount(payload -> '$.totals.discounts')) + voucher_in_cost as discounts,
        rounded_money(
            (
                tax_by_rules(payload -> '$.totals.discountTaxRules', 'taxIncluded')
                + tax_by_rules(payload -> '$.totals.discountTaxRules', 'taxAdded')
            )::decimal(18, 4
            ),
            currency_of(payload -> 'grandTotal')
        ) as discount_tax
    from changed_returns
),

-- one row per Return and tax rate. Where Centra shows no tax of the voucher, it is shared over the rates by line value, and
-- contains tax as the lines do
tax_by_rate as (
    select
        parts.centra_return_id,
        sum(line.line_tax) - case
            when any_value(discount_tax) <> 0 or any_value(tax_mode) in ('added', 'none') then 0
            else tax_in(
                    coalesce(
                        share_of(
                            any_value(discounts),
                            sum(line.line_value)::decimal(18, 4),
                            any_value(line_values),
                            any_value(currency)
                        ),
                        0
                    ),
                    line.tax_percent,
                    any_value(currency)
                )
        end as tax
    from parts
    inner join changed_return_lines as line using (centra_return_id)
    group by parts.centra_return_id, line.tax_percent
),

-- one row per Return: the tax of its lines, net of the voucher's
taxes as (
    select centra_return_id, sum(tax) as tax from tax_by_rate group by centra_return_id
)

select
    centra_return_id,
    order_number,
    cast(payload ->> '$.shipment.id' as bigint) as shipment_id,
    payload ->> 'returnStatus' as status,
    policy.meaning_of('return_status', payload ->> 'returnStatus') = 'completed' as is_completed,
    payload ->> 'externalId' as external_id,
    nullif(regexp_extract(payload ->> 'comment', '\bPK[A-Z2-7]{13}\b'), '') as packet_key,
    coalesce(keys_in(payload ->> 'comment'), []) as effect_keys,
    words_in(payload ->> 'comment') as express_codes,
    payload ->> 'createdFrom' as created_from,
    case
        when (payload ->> '$.adminUser.id') is not null then 'person'
        else coalesce(policy.meaning_of('return_created_from', payload ->> 'createdFrom'), 'unknown')
    end as made_by,
    cast(payload ->> 'returnedToStock' as boolean) as returned_to_stock,
    cast(payload ->> '$.returnWarehouse.id' as bigint) as warehouse_id,
    currency,
    paid_of(amount(payload -> 'grandTotal'), amount(payload -> 'grandTotalNet'), tax_mode) as grand_total,
    amount(payload -> 'grandTotalNet') as net_total,
    line_values,
    amount(payload -> '$.totals.shipping') as shipping,
    amount(payload -> '$.totals.handling') as handling,
    discounts,
    abs(amount(payload -> '$.totals.returnCost')) - voucher_in_cost as return_cost,
    added_by_rules(payload -> '$.totals.shippingTaxRules')
    + added_by_rules(payload -> '$.totals.handlingTaxRules') as shipping_tax_added,
    added_by_rules(payload -> '$.totals.discountTaxRules') as discount_tax_added,
    added_by_rules(payload -> '$.totals.returnCostTaxRules') as return_cost_tax_added,
    coalesce(tax, 0) - discount_tax as tax,
    created_at,
    fetched_at,
    case when is_deleted then fetched_at end as deleted_at
from parts
left join taxes using (centra_return_id);

delete from staging.centra_return_lines where centra_return_id in (select centra_return_id from changed_returns);

insert into staging.centra_return_lines by name
select * exclude (tax_percent) from changed_return_lines;

-- ---------------------------------------------------------------- payments

-- one row per entry as fetched last: an order's history and a Return's refunds show the same entries, of which the
-- Return's are read again more often
create or replace temp table changed_entries as
with
shown as (
    select
        order_number, fetched_at, 0 as rank, unnest(items_of(payload -> 'paymentHistory')) as entry,
        cast(null as bigint) as of_return
    from changed_orders
    union all by name
    select
        order_number, fetched_at, 1 as rank, unnest(items_of(payload -> 'refundPaymentHistory')) as entry,
        centra_return_id as of_return
    from changed_returns
    where not is_deleted
)

select
    cast(entry ->> 'id' as bigint) as entry_id,
    order_number,
    coalesce(of_return, cast(entry ->> '$.return.id' as bigint)) as centra_return_id,
    entry ->> 'entryType' as entry_type,
    entry ->> 'status' as status,
    did.money,
    did.instrument,
    did.is_refund,
    cast(null as bigint) as request_id,
    abs(amount(entry -> 'value')) as amount,
    currency_of(entry -> 'value') as currency,
    entry ->> 'externalReference' as external_reference,
    coalesce(from_json(entry -> 'providerReferences', '["varchar"]'), []) as provider_references,
    cast(entry ->> 'createdAt' as timestamptz) as created_at
from shown
left join policy.payment_words as did on did.entry_type = (entry ->> 'entryType') and did.status = (entry ->> 'status')
qualify row_number() over (partition by entry_id order by fetched_at desc, rank desc) = 1;

delete from staging.payment_entries where entry_id in (select entry_id from changed_entries);

insert into staging.payment_entries by name
from changed_entries;

-- orders whose payments are read again: payments.sql goes on from here
create or replace temp table paying_orders as
select order_number from changed_orders
union
select order_number from changed_entries;

-- ---------------------------------------------------------------- stock changes

-- one row per stock change that is new: as landed last
create or replace temp table changed_stock_changes as
select stock_change_id, payload, created_at
from landing.centra_stock_changes
where stock_change_id in (select stock_change_id from landing.centra_stock_changes where batch > $watermark)
qualify row_number() over (partition by stock_change_id order by batch desc) = 1;

delete from staging.stock_changes where stock_change_id in (select stock_change_id from changed_stock_changes);

insert into staging.stock_changes by name
with
-- one row per new stock change: does its text look like a customer return?
looks as (
    select
        stock_change_id,
        exists (
            from policy.customer_return_patterns as known
            where regexp_matches(new.payload ->> 'comment', known.pattern)
        ) as is_customer_return
    from changed_stock_changes as new
),

-- one row per line of a new stock change
lines as (
    select stock_change_id, payload, created_at, unnest(items_of(payload -> 'lines')) as line
    from changed_stock_changes
)

select
    cast(line ->> 'id' as bigint) as stock_change_line_id,
    stock_change_id,
    created_at,
    payload ->> 'type' as type,
    coalesce(keys_in(payload ->> 'comment'), []) as effect_keys,
    is_customer_return,
    words_in(payload ->> 'comment') as named,
    (payload ->> '$.adminUser.id') is not null as by_person,
    line ->> '$.productSize.SKU' as sku,
    coalesce(
        cast(line ->> '$.warehouse.id' as bigint), cast(payload ->> '$.warehouse.id' as bigint)
    ) as warehouse_id,
    -- Centra's sign (assumed: negative when goods leave); the words of `type` decide nothing, they are not documented.
    cast(line ->> 'deliveredQuantity' as bigint) as quantity
from lines
inner join looks using (stock_change_id);

-- ---------------------------------------------------------------- warehouses, replacement stock

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

-- ---------------------------------------------------------------- where a return's state is written

merge into staging.status_marks as known
using (
    -- one row per order or customer that was read: as landed last
    select
        mark,
        object_type,
        object_id,
        payload ->> 'ourNote' as our_note,
        payload ->> 'ourValue' as our_value,
        coalesce(keys_in(payload ->> 'ourNote'), []) as note_keys,
        coalesce(keys_in(payload ->> 'ourValue'), []) as value_keys,
        fetched_at
    from landing.centra_status_marks
    where batch > $watermark
    qualify row_number() over (partition by mark order by batch desc) = 1
) as new
    on known.mark = new.mark
when matched then
    update set
        our_note = new.our_note, our_value = new.our_value, note_keys = new.note_keys, value_keys = new.value_keys,
        fetched_at = new.fetched_at
when not matched then
    insert (mark, object_type, object_id, our_note, our_value, note_keys, value_keys, fetched_at)
    values (
        new.mark,
        new.object_type,
        new.object_id,
        new.our_note,
        new.our_value,
        new.note_keys,
        new.value_keys,
        new.fetched_at
    );
