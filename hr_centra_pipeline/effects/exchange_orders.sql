-- One row per replacement of a unit that is due and not in Centra.
delete from effects.pending_exchange_orders;
insert into effects.pending_exchange_orders by name
with
due as (
    select
        effect_key('exchange_order', [units.return_item_id]) as effect_key,
        units.*,
        items.express_code,
        items.exchange_sku,
        matched.shipment_id,
        matched.shipment_line_id,
        matched.currency,
        matched.unit_price,
        case
            when units.is_after_cutover is null then 'the start of its return is not known'
            when not units.is_after_cutover then 'its return was started before the cut-over: adopt it to act'
            when matched.shipment_line_id is null then 'no shipment line: ' || matched.reason
            when value.given - value.exchange > 0 then
                'its value was given back already: by a refund, store credit or a chargeback'
            when matched.foreign_centra_return_id is not null and released.return_item_id is null then
                case external.made_by when 'person' then 'a person' when 'integration' then 'another integration'
                    else 'another integration or user' end
                || ' made a Return for the unit in Centra: the replacement may have been sent already'
            when items.exchange_sku is null then 'the return names no replacement'
            when stock.sku is null then null -- not looked up yet: the sender looks before it makes anything
            when stock.product_size_id is null then 'Centra has no article ' || items.exchange_sku
            when stock.free_quantity < 1 then 'the replacement ' || items.exchange_sku || ' is out of stock'
        end as blocked_by,
        released.centra_return_id as origin_return
    from effects.units as units
    semi join matching.orders_in_play using (order_number)
    cross join policy.parameters
    join staging.return_items as items using (return_item_id)
    join matching.matched_items as matched using (return_item_id)
    left join effects.value_given_back as value using (return_item_id)
    left join staging.centra_returns as external on external.centra_return_id = matched.foreign_centra_return_id
    left join staging.replacement_stock as stock on stock.sku = items.exchange_sku
    -- A person has said that nobody sent the replacement by hand: it is ordered, and the Return that is there is its origin.
    left join (
        select distinct return_item_id, try_cast(centra_id as bigint) as centra_return_id from push.ties where what = 'release'
    ) as released on released.return_item_id = units.return_item_id
        and released.centra_return_id = matched.foreign_centra_return_id
    where
        items.refund_type = 'exchange'
        and units.credit_due_at is not null
        and not units.is_refused
        and (units.is_after_cutover is distinct from false or units.credit_due_at >= parameters.cutover)
        -- Somebody gave the money instead: the shopper waits for no goods any more.
        and not coalesce(value.is_paid_by_hand, false)
        and effect_key('exchange_order', [units.return_item_id]) not in (select effect_key from done)
)

select
    due.effect_key,
    'exchange_order' as effect_kind,
    due.order_number as group_key,
    due.return_id,
    due.return_item_id,
    due.order_number,
    due.shipment_id,
    due.shipment_line_id,
    exchange_sku as sku,
    1 as quantity,
    due.currency,
    unit_price as amount,
    express_code,
    credit_due_at as trigger_at,
    credit_due_at as sendable_at,
    modes."mode",
    blocked_by,
    coalesce(ledger.state, 'planned') as state,
    case when ledger.state in ('sending', 'unknown') then ledger.packet_key end as packet_key,
    json_object('trigger', credit_trigger, 'origin_return', origin_return) as evidence
from due
join policy.modes on modes.effect_type = 'exchange_order'
left join push.ledger on ledger.effect_key = due.effect_key;
