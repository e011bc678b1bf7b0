-- One row per pending effect of the last plan whose ledger state is planned, with what its packet needs and why it waits.
with pending as (
    from effects.pending_credit_notes
    union all by name from effects.pending_inventory_adjustments
    union all by name from effects.pending_exchange_orders
    union all by name from effects.pending_status_updates
),

-- One row per effect that a person approved as it is: another input needs another approval.
approved as (
    select distinct effect_key, input_sha256 from push.approvals
),

planned as (
    select
        pending.*, ledger.travels_alone, ledger.planned_at, effect_types.effect_type, modes.policy_mode,
        -- Who let the replacement through has let its release through.
        approved.effect_key is not null or coalesce(pending.evidence::json ->> 'exchange' in (
            select effect_key from push.approvals
        ), false) as is_approved,
        coalesce(pending.evidence::json ->> 'milestone' = 'refund under way', false) as is_announcement
    from pending
    join push.ledger using (effect_key)
    join policy.effect_types on effect_types.effect_kind = pending.effect_kind
    join policy.modes on modes.effect_type = effect_types.effect_type
    left join approved on approved.effect_key = ledger.effect_key and approved.input_sha256 = ledger.input_sha256
    where ledger.state = 'planned'
),

reasoned as (
    select
        planned.*,
        case
            when blocked_by is not null and not (is_approved and starts_with(blocked_by, 'waits for approval')) then blocked_by
            when sendable_at > $now and not (is_approved and effect_kind = 'inventory_adjustment') then
                'waits until ' || strftime(sendable_at, '%Y-%m-%d %H:%M UTC')
            when is_approved then null
            when policy_mode = 'approve' then 'waits for approval: modes.' || effect_type || ' = "approve"'
            when limits.amount is not null and planned.amount > limits.amount and effect_type in ('credit_note', 'exchange_order') then
                'waits for approval: it is above approval_above.' || planned.currency
        end as own_reason
    from planned
    left join policy.approval_limits as limits using (currency)
)

select
    effect_key,
    effect_kind,
    group_key,
    return_id,
    return_item_id,
    order_number,
    shipment_id,
    shipment_line_id,
    bundle,
    bundle_shipment_line_id,
    bundle_units,
    sku,
    quantity,
    warehouse_id,
    from_warehouse_id,
    currency,
    amount,
    items,
    tax,
    shipping,
    fee,
    voucher,
    tax_mode,
    tax_added,
    fee_tax_added,
    pays_through,
    "text",
    express_code,
    evidence::json ->> 'about' as about,
    (evidence::json ->> 'customer_id')::bigint as customer_id,
    refund_id,
    origin_return_id,
    travels_alone,
    is_announcement,
    greatest(sendable_at, planned_at) as waiting_since,
    -- The more careful of the policy's and the run's: what a person approved counts as live in a live run.
    case when policy_mode = 'approve' and is_approved and "mode" = 'approve' then 'live' else "mode" end as "mode",
    coalesce(
        own_reason,
        -- What was approved is the whole amount: a fee or shipping that nobody has seen holds its credit.
        case when effect_kind = 'credit_note' and bool_or(
            effect_kind in ('return_fee', 'shipping_refund') and starts_with(coalesce(own_reason, ''), 'waits for approval')
        ) over (partition by return_id, order_number) then 'waits for approval of the fee or shipping that goes with it' end
    ) as waits_for
from reasoned
order by trigger_at, effect_key;
