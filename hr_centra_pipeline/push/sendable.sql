-- One row per pending effect of the last plan whose ledger state is planned, with what its packet needs.
-- The caller decides by `mode`, `blocked_by` and `sendable_at` whether it may be sent now.
with pending as (
    from effects.pending_credit_notes
    union all by name from effects.pending_inventory_adjustments
    union all by name from effects.pending_exchange_orders
    union all by name from effects.pending_status_updates
)

select
    pending.effect_key,
    pending.effect_kind,
    pending.group_key,
    pending.return_id,
    pending.return_item_id,
    pending.order_number,
    pending.shipment_id,
    pending.shipment_line_id,
    pending.sku,
    pending.quantity,
    pending.warehouse_id,
    pending.from_warehouse_id,
    pending.currency,
    pending.amount,
    pending.items,
    pending.tax,
    pending.shipping,
    pending.fee,
    pending.voucher,
    pending.pays_through,
    pending."text",
    pending.express_code,
    pending.refund_id,
    ledger.travels_alone,
    pending."mode",
    case
        when pending.blocked_by is not null then pending.blocked_by
        when pending.sendable_at > $now then 'waits until ' || strftime(pending.sendable_at, '%Y-%m-%d %H:%M UTC')
    end as waits_for
from pending
join push.ledger using (effect_key)
where ledger.state = 'planned'
order by pending.trigger_at, pending.effect_key;
