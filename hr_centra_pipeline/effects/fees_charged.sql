-- makes: fees_charged
-- kind:  step
-- grain: one row per credit, or fee of a whole return, that was sent with a fee
-- loop:  push.ledger, push.packets: the fee that was charged is the one that its packet was sent with

-- One row per credit, or fee of a whole return, that was sent with a fee: what it takes off, with tax. Its packet says so of each
-- of its members; where the packet is lost, or older, what its Return takes off is shared over the credits on it.
create or replace temp table fees_charged as
with
sent_fees as (
    select
        ledger.effect_key, ledger.effect_kind, ledger.return_id, ledger.order_number, ledger.currency, ledger.amount,
        packets.payload -> 'fees' as fees,
        coalesce(packet_returns.made_return_id, try_cast(ledger.centra_id as bigint)) as centra_return_id
    from (from push.ledger semi join matching.orders_in_play using (order_number)) as ledger
    left join push.packets using (packet_key)
    left join packet_returns using (packet_key)
    where ledger.effect_kind in ('credit_note', 'return_fee') and not ledger.is_foreign
        and ledger.state in ('sending', 'unknown', 'confirmed')
),

fees_on_returns as (
    select
        sent_fees.*, returns.deleted_at is not null as is_deleted,
        coalesce(returns.return_cost + returns.return_cost_tax_added, 0)::decimal(18, 4) as return_cost,
        count(*) over (partition by sent_fees.centra_return_id) as members,
        bool_or(effect_kind = 'return_fee') over (partition by sent_fees.centra_return_id) as is_of_whole_return
    from sent_fees
    left join staging.centra_returns as returns on returns.centra_return_id = sent_fees.centra_return_id
)

from (
    select
        effect_key, effect_kind, return_id, order_number, currency, centra_return_id,
        case
            when effect_kind = 'return_fee' then coalesce(amount, return_cost)
            when fees is not null then coalesce((fees ->> effect_key)::decimal(18, 4), 0)
            when is_of_whole_return or return_cost = 0 then 0
            else coalesce(share_of(return_cost, 1, members, currency), 0)
        end::decimal(18, 4) as fee
    from fees_on_returns
    where not is_deleted
)
where fee <> 0;
