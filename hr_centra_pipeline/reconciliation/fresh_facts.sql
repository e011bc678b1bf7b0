-- makes: fresh_facts
-- kind:  step
-- grain: one row per effect that a push has confirmed and no pull has shown yet, and component: what it gave, as
--        planned

-- Credits that a push has just confirmed and that no pull has shown yet: as planned, which Centra's total was checked against.
create or replace temp table fresh_facts as
with
fresh_effects as (
    select ledger.*
    from push.ledger
    semi join money_orders using (order_number)
    anti join (select distinct effect_key from carried_effects) as carried_keys using (effect_key)
    where ledger.state = 'confirmed' and not ledger.is_foreign
        and is_on_a_return(ledger.effect_kind)
        -- A replacement that was made from a Return that was there (by hand, or ordered again) has no key on it.
        and not (ledger.effect_kind = 'exchange_order' and ledger.return_item_id in (
            select return_item_id from return_pieces where return_item_id is not null
        ))
)

select
    'centra' as side,
    concat_ws(' ', 'centra', fresh_effects.effect_key, component) as fact_id,
    fresh_effects.return_id,
    fresh_effects.order_number,
    fresh_effects.return_item_id, component, fresh_effects.currency,
    case component
        when 'items' then coalesce(planned.items, units.gross - units.tax)
        -- what was really given: Centra may have settled the tax
        when 'tax' then coalesce(fresh_effects.amount - planned.items, units.tax)
        when 'shipping' then fresh_effects.amount
        when 'fee'
            then taken_off(
                    case when takes_off(fresh_effects.effect_kind) then fresh_effects.amount else planned.fee end
                )
        else 0
    end as amount,
    case component
        when 'exchange' then coalesce(matched.unit_price - coalesce(matched.voucher_share, 0), 0) else 0
    end as in_goods,
    fresh_effects.updated_at as happened_at,
    true as is_pending,
    'packet ' || coalesce(fresh_effects.packet_key, '?') as source
from fresh_effects
left join effects.pending_credit_notes as planned on planned.effect_key = fresh_effects.effect_key
left join expected_units as units on units.return_item_id = fresh_effects.return_item_id
left join matching.matched_items as matched on matched.return_item_id = fresh_effects.return_item_id,
    unnest(['items', 'tax', 'shipping', 'fee', 'exchange']) as components (component)
where component in ('items', 'tax')
    and fresh_effects.effect_kind = 'credit_note'
    and coalesce(planned.items, units.gross) is not null
    or component = 'shipping' and fresh_effects.effect_kind = 'shipping_refund'
    or component = 'fee'
    and (takes_off(fresh_effects.effect_kind) or fresh_effects.effect_kind = 'credit_note' and planned.fee <> 0)
    or component = 'exchange' and fresh_effects.effect_kind = 'exchange_order';
