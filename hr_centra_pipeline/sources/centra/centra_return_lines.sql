-- makes: staging.centra_return_lines, changed_return_lines
-- kind:  table
-- grain: one row per line of a Return; a bundle's parts in place of the bundle

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

delete from staging.centra_return_lines where centra_return_id in (select centra_return_id from changed_returns);

insert into staging.centra_return_lines by name
select * exclude (tax_percent) from changed_return_lines;
