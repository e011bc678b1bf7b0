-- changes: findings
-- kind:  exception
-- grain: one row per unit that is not a shipped piece of its order
-- exception:    item_without_shipment_line
-- subject:      unit
-- owner:        customer_service
-- window_hours: 24
-- precedence:   30
-- severity:     warning
-- family:       orphaned_returns
-- counterpart:  shipped_piece
-- opens:        The order exists, but no shipped piece of it is this unit: the article is not on the order, its
--               row names two articles of the order (such as the EAN of one and the barcode of another), more
--               units come back than were shipped, the line was never shipped, the unit names a whole bundle,
--               or it is on an order with bundles of which Centra does not show the parts as we read them.
-- closes:       the unit finds its shipment line.

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
        when 'more_units_than_shipped'
            then 'More units of ' || coalesce(matched.sku, 'this line') || ' come back than order '
                || items.order_number || ' shipped'
        when 'article_not_on_order'
            then 'Order ' || items.order_number || ' has no line with '
                || coalesce(items.sku, items.upc, items.label_barcode, items.order_line_item_id)
        when 'ambiguous_article'
            then 'The export names two articles of order ' || items.order_number || ' for the unit: '
                || array_to_string(list_distinct([items.sku, items.upc, items.label_barcode]), ', ')
        when 'bundle_line'
            then 'The unit names a bundle on order '
                || items.order_number
                || ', or is of one whose parts Centra does not show as we read them'
        when 'nothing_shipped' then 'Its line of order ' || items.order_number || ' was never shipped'
        when 'refused'
            then 'The unit was refused, all that order ' || items.order_number || ' shipped of '
                || coalesce(matched.sku, 'this line') || ' is accounted for by other returns, and its goods are waiting to '
                || 'be booked'
        else 'The export names neither line, SKU nor barcode of the unit'
    end as detail,
    'Compare the parcel with the order in Centra: correct the item at Happy Returns, or credit and book it by hand.'
        as next_step,
    json_object('source_file', items.source_file, 'source_line', items.source_line, 'reason', matched.reason)
        as evidence
from matching.matched_items as matched
join staging.return_items as items using (return_item_id)
left join effects.units as units using (return_item_id)
-- A return whose goods never came holds no piece, and nothing is to be done for it; nor for what was refused, but for its goods.
where matched.shipment_line_id is null
    and matched.reason not in ('no_such_order', 'order_not_read_yet', 'goods_never_came')
    and (matched.reason <> 'refused' or units.target_warehouse_id is not null);

-- closing
insert into proofs by name
select
    unseen.exception_id,
    case
        when known.return_item_id is not null
            then proven_by('line_found', 'it is shipment line ' || matched.shipment_line_id)
        when matched.reason in ('goods_never_came', 'refused')
            then proven_by('nothing_due', 'nothing is due for it: it was refused, or its goods never came')
    end as proof
from unseen
left join known_units as known on known.return_item_id = unseen.return_item_id
left join matching.matched_items as matched on matched.return_item_id = unseen.return_item_id
where unseen.kind = 'item_without_shipment_line';
