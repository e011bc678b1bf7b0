-- makes: effects.pending_credit_notes
-- kind:  table
-- grain: one row per credit that is due and not in Centra: of a unit, and the shipping and fee of a return on one
--        order
-- loop:  push.ledger: a due credit says whether an earlier push has begun it, and in which packet

delete from effects.pending_credit_notes;
insert into effects.pending_credit_notes by name
with
costs_of_returns as (
    select
        effect_key('shipping_refund', [return_id, order_number]) as effect_key, 'shipping_refund' as effect_kind,
        shipping_amount as amount, shipping_amount as shipping, cast(0 as decimal(18, 4)) as fee,
        columns(* exclude (shipping_amount))
    from shipping_refunds where shipping_amount > 0
    union all by name
    select
        effect_key('return_fee', [return_id, order_number]) as effect_key, 'return_fee' as effect_kind,
        fee_amount as amount, cast(0 as decimal(18, 4)) as shipping, fee_amount as fee,
        columns(* exclude (fee_amount))
    from return_fees where fee_amount > 0
),

all_credits as (
    select
        * exclude (refund_type, dropoff_method, is_returnless, credit_trigger, kept, fee_rate_tax, blocked_place),
        json_object('trigger', credit_trigger, 'refund_row', refund_id) as evidence
    from unit_credits
    union all by name
    select
        effect_key,
        effect_kind,
        order_number as group_key,
        return_id,
        cast(null as varchar) as return_item_id,
        order_number,
        shipment_id,
        1 as quantity,
        currency,
        amount,
        shipping,
        fee,
        tax_mode,
        tax_added,
        fee_tax_added,
        pays_through,
        express_code,
        refund_id, trigger_at,
        sendable_at,
        case when is_blocked then blocked_by end as blocked_by,
        case when is_blocked then blocked_code end as blocked_code,
        case when is_blocked then approval_codes end as approval_codes,
        json_object('refund_row', refund_id) as evidence
    from costs_of_returns
    where effect_key not in (select effect_key from keys_in_centra)
)

select
    all_credits.*,
    modes."mode",
    coalesce(ledger.state, 'planned') as state,
    case when ledger.state in ('sending', 'unknown') then ledger.packet_key end as packet_key
from all_credits
join policy.modes on modes.effect_type = 'credit_note'
left join push.ledger on ledger.effect_key = all_credits.effect_key;
