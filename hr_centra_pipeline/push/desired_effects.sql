-- makes: desired_effects
-- kind:  step
-- grain: one row per effect that ought to be in Centra and is not, with the hashes of what decides about it

-- One row per effect that ought to be in Centra and is not, with three hashes. input: everything that would be sent and the policy;
-- when it changes, what was rejected may be tried again. approval: what leaves when it leaves, with the fee and shipping beside
-- it; what was approved was approved with this. decided: what of the settings decides about it, as the ledger keeps it.
create or replace temp table desired_effects as
with
-- One row per return and order: what belongs to the whole of it and leaves with its credits, or has left before them.
return_level_effects as (
    select return_id, order_number, string_agg(effect_kind || ' ' || amount, ', ' order by effect_kind) as return_level
    from (
        select return_id, order_number, effect_kind, amount from effects.pending_credit_notes
        where is_of_the_return(effect_kind)
        union all
        -- As it was approved: by now the tax of it may be settled.
        select
            ledger.return_id, ledger.order_number, ledger.effect_kind, coalesce((
                select arg_max(approvals.amount, approvals.approved_at) from push.approvals
                where approvals.effect_key = ledger.effect_key
            ), ledger.amount)
        from push.ledger
        semi join
            (select return_id, order_number from effects.pending_credit_notes) as affected_returns
            using (return_id, order_number)
        where is_of_the_return(ledger.effect_kind) and ledger.state = 'confirmed'
            and ledger.effect_key not in (select effect_key from effects.pending_credit_notes)
    )
    group by return_id, order_number
),

-- One row: what the policy says that a refusal may hang on. When it changes, what was rejected may be tried again.
policy_digest as (
    select sha256(string_agg(words, chr(31) order by place)) as policy_sha256
    from (
        select 1 as place, coalesce(string_agg(p::varchar, chr(30) order by p::varchar), '') as words
        from policy.parameters as p
        union all
        select 2, coalesce(string_agg(d::varchar, chr(30) order by d::varchar), '') from policy.dispositions as d
        union all
        select 3, coalesce(string_agg(t::varchar, chr(30) order by t::varchar), '') from policy.pays_through as t
        union all
        select 4, coalesce(string_agg(f::varchar, chr(30) order by f::varchar), '') from policy.fees as f
        union all
        select 5, coalesce(string_agg(f::varchar, chr(30) order by f::varchar), '') from policy.zone_fees as f
        union all
        select 6, coalesce(string_agg(t::varchar, chr(30) order by t::varchar), '') from policy.tax_limits as t
    )
)

select
    pending.* exclude (sent),
    sha256(concat_ws(chr(31), policy_sha256, sent)) as input_sha256,
    sha256(concat_ws(
        chr(31), sent, coalesce(origin_return_id::varchar, '-'), coalesce(return_level, '-'),
        case when pays_through = 'gift_card' then (select gift_card_template from policy.parameters) end
    )) as approval_sha256,
    -- Held by a setting; a hold by what happened (nothing captured, no shipment line, …) ends by what happens.
    coalesce(blocks.by_settings, false) as is_held,
    case
        -- Its amount is known once it has a line: what comes with the line asks nothing.
        when effect_kind = 'credit_note' and shipment_line_id is null and not is_held then 'open'
        when is_part_of_a_credit(effect_kind)
            then
                sha256(concat_ws(
                    chr(31),
                    coalesce(pays_through, '-'),
                    amount::varchar,
                    coalesce(fee, 0)::varchar,
                    coalesce(return_level, '-'),
                    is_held::varchar
                ))
        when effect_kind = 'exchange_order' then sha256(concat_ws(chr(31), coalesce(sku, '-'), is_held::varchar))
        -- Its word is mapped for the first time some day: that asks nothing.
        when effect_kind = 'inventory_adjustment' and warehouse_id is null and blocked_code is not null then 'open'
        when effect_kind = 'inventory_adjustment'
            then
                sha256(concat_ws(chr(31), coalesce(warehouse_id::varchar, '-'), is_held::varchar))
        -- Of any other kind: all that would be sent.
        when may_be_asked(effect_kind) then sha256(concat_ws(chr(31), sent, is_held::varchar))
    end as decided_sha256
from (
    select
        *,
        concat_ws(
            chr(31),
            effect_kind,
            coalesce(shipment_id::varchar, '-'),
            coalesce(shipment_line_id::varchar, '-'),
            coalesce(sku, '-'),
            quantity::varchar,
            coalesce(warehouse_id::varchar, '-'),
            coalesce(from_warehouse_id::varchar, '-'),
            coalesce(currency, '-'),
            coalesce(amount::varchar, '-'),
            coalesce(items::varchar, '-'),
            coalesce(tax::varchar, '-'),
            coalesce(shipping::varchar, '-'),
            coalesce(fee::varchar, '-'),
            coalesce(voucher::varchar, '-'),
            coalesce(pays_through, '-'),
            coalesce("text", '-'),
            bundle_shipment_line_id::varchar
        ) as sent
    from pending_effects
) as pending
cross join policy_digest
left join policy.reasons as blocks on blocks.code = pending.blocked_code
left join
    return_level_effects
    on return_level_effects.return_id = pending.return_id and return_level_effects.order_number = pending.order_number
        and is_part_of_a_credit(pending.effect_kind);
