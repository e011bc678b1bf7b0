-- return_without_order, item_without_shipment_line, centra_return_without_return: one side without the other.

-- One row per return and order that Centra does not have. Only a negative answer of Centra proves it.
insert into findings by name
with
named as (
    select
        return_id, order_number, min(created_at) as created_at, any_value(source_file) as source_file,
        any_value(source_line) as source_line, min(source_time) as source_time
    from staging.returns group by return_id, order_number
    union all by name
    select
        return_id, order_number, min(return_created_at) as created_at, any_value(source_file) as source_file,
        any_value(source_line) as source_line, min(source_time) as source_time
    from staging.return_items
    anti join staging.returns using (return_id, order_number)
    group by return_id, order_number
),

refunded as (
    select return_id, order_number, sum(total_refunded) as amount, min(currency) as currency
    from staging.refunds where status in ('issued', 'pending')
    group by return_id, order_number having count(distinct currency) = 1
)

select
    'return_without_order' as kind,
    'unit' as subject,
    'fix_happy_returns' as class,
    'data_gap' as cause,
    'happy_returns' as culprit,
    named.return_id,
    named.order_number,
    refunded.currency,
    refunded.amount,
    coalesce(created_at, source_time) as fact_at,
    'Centra has no order ' || named.order_number || ', which return ' || named.return_id || ' names'
        || case when refunded.amount is not null then
            '; Happy Returns has refunded ' || money_text(refunded.amount, refunded.currency) else '' end as detail,
    'Ask Happy Returns (or the shopper) for the right order number, and have the export corrected.' as next_step,
    json_object('source_file', source_file, 'source_line', source_line) as evidence
from named
semi join (
    select order_number from landing.centra_absent_orders anti join staging.orders using (order_number)
) as absent using (order_number)
left join refunded using (return_id, order_number);

-- One row per unit whose order is there, and no shipped piece of it is the unit.
insert into findings by name
select
    'item_without_shipment_line' as kind,
    'unit' as subject,
    'fix_happy_returns' as class,
    'data_gap' as cause,
    'happy_returns' as culprit,
    items.return_id,
    items.return_item_id,
    items.order_number,
    matched.sku,
    case when matched.unit_price is not null then matched.currency end as currency,
    matched.unit_price as amount,
    coalesce(items.return_created_at, items.source_time) as fact_at,
    case matched.reason
        when 'more_units_than_shipped' then 'More units of ' || coalesce(matched.sku, 'this line') || ' come back than order '
            || items.order_number || ' shipped'
        when 'article_not_on_order' then 'Order ' || items.order_number || ' has no line with '
            || coalesce(items.sku, items.upc, items.label_barcode, items.order_line_item_id)
        when 'ambiguous_article' then 'The export names two articles of order ' || items.order_number || ' for the unit: '
            || array_to_string(list_distinct([items.sku, items.upc, items.label_barcode]), ', ')
        when 'bundle_line' then 'The unit names a bundle on order ' || items.order_number || ', or is of one whose parts Centra does not show as we read them'
        when 'nothing_shipped' then 'Its line of order ' || items.order_number || ' was never shipped'
        when 'refused' then 'The unit was refused, all that order ' || items.order_number || ' shipped of '
            || coalesce(matched.sku, 'this line') || ' came back otherwise, and its goods wait to be booked'
        else 'The export names neither line, SKU nor barcode of the unit'
    end as detail,
    'Compare the parcel with the order in Centra: correct the item at Happy Returns, or credit and book it by hand.' as next_step,
    json_object('source_file', items.source_file, 'source_line', items.source_line, 'reason', matched.reason) as evidence
from matching.matched_items as matched
join staging.return_items as items using (return_item_id)
left join effects.units as units using (return_item_id)
-- A return whose goods never came holds no piece, and nothing is to be done for it; nor for what was refused, but for its goods.
where matched.shipment_line_id is null and matched.reason not in ('no_such_order', 'order_not_read_yet', 'goods_never_came')
    and (matched.reason <> 'refused' or units.target_warehouse_id is not null);

-- One row per external Return in Centra with lines that are no unit of Happy Returns.
insert into findings by name
with
adopted as (
    select foreign_centra_return_id as centra_return_id, shipment_line_id, count(*) as units
    from matching.matched_items where foreign_centra_return_id is not null
    group by foreign_centra_return_id, shipment_line_id
),

foreign_lines as (
    select
        returns.centra_return_id, lines.quantity, least(coalesce(adopted.units, 0), lines.quantity) as adopted_units, lines.line_value
    from staging.centra_returns as returns
    join staging.centra_return_lines as lines using (centra_return_id)
    left join adopted on adopted.centra_return_id = returns.centra_return_id
        and adopted.shipment_line_id = lines.shipment_line_id
    -- A Return that the ledger knows is ours, even when somebody has emptied its comment.
    anti join push.ledger on ledger.centra_id = returns.centra_return_id::varchar
        and ledger.effect_kind in ('credit_note', 'exchange_order') and not ledger.is_foreign
    where returns.deleted_at is null and returns.packet_key is null and len(coalesce(returns.effect_keys, [])) = 0
        and returns.centra_return_id::varchar not in (
            select centra_id from push.ties where what = 'return' and return_item_id is null
        )
),

left_over as (
    -- Paid twice for one unit is a kind of its own.
    select
        centra_return_id, sum(quantity - adopted_units) as units, sum(adopted_units) as adopted_units,
        sum(line_value) as value, list({value: line_value, part: quantity - adopted_units, whole: quantity}) as parts
    from foreign_lines
    anti join doubled_returns using (centra_return_id)
    group by centra_return_id
    having sum(quantity) > sum(adopted_units)
)

select
    'centra_return_without_return' as kind,
    'return' as subject,
    'Return ' || returns.centra_return_id as identity,
    'fix_centra' as class,
    'data_gap' as cause,
    returns.made_by as culprit,
    returns.order_number,
    returns.currency,
    case when left_over.adopted_units = 0 then returns.grand_total
        else list_sum(list_transform(
            left_over.parts, lambda p: share_of(p.value, p.part::decimal(18, 4), p.whole::decimal(18, 4), returns.currency)
        )) end as amount,
    returns.created_at as fact_at,
    'Return ' || returns.centra_return_id || ' in Centra, made by ' || maker_text(returns.made_by) || ', credits '
        || units_text(left_over.units) || ' of order ' || returns.order_number || ' that Happy Returns does not know' as detail,
    ask_maker(returns.made_by) || ': did the goods come back without Happy Returns, or was it made twice? Then delete it, or `hr-centra tie '
        || returns.centra_return_id || ' --return` to its units, or to none.'
        as next_step,
    json_object('centra_return_id', returns.centra_return_id, 'made_at', returns.created_from, 'status', returns.status) as evidence
from left_over
join staging.centra_returns as returns using (centra_return_id);
