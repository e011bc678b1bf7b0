-- makes: credit_units
-- kind:  step
-- grain: one row per unit whose credit is due and not given by anybody, before its part of the voucher
-- loop:  push.ledger: a canceled replacement is paid out on the Return that an earlier push made for it

-- One row per unit whose replacement somebody has canceled in Centra, and that gets its money after all: a person has decided so,
-- or Happy Returns refunds it now. It is paid on our Return that the replacement was made from, and that says what the
-- unit cost: as much of a voucher as the Return carries, as Centra keeps it.
create or replace temp table canceled_replacements as
select
    canceled.return_item_id, canceled.centra_return_id as origin_return_id, decisions.decided_at,
    matched.unit_price - ledger.amount as voucher_given,
    nullif(
        voucher_given
        - added_within_part(
            matched.unit_tax_added, voucher_given, matched.unit_price - matched.unit_tax_added, matched.currency
        ),
        0
    ) as voucher
from effects.replacements as canceled
semi join matching.orders_in_play using (order_number)
join push.ledger using (effect_key)
join staging.return_items as items on items.return_item_id = canceled.return_item_id
join matching.matched_items as matched on matched.return_item_id = canceled.return_item_id
left join
    push.exchange_decisions
        as decisions
    on decisions.return_item_id = canceled.return_item_id
        and decisions.ordinal = canceled.ordinal and decisions.decision = 'pay'
where canceled.state = 'canceled' and canceled.centra_return_id is distinct from matched.foreign_centra_return_id
    and (decisions.decision is not null or items.refund_type <> 'exchange')
qualify row_number() over (partition by canceled.return_item_id order by canceled.ordinal desc) = 1;

-- One row per unit whose credit is due and not given by anybody.
create or replace temp table credit_units as
select
    effect_key('credit_note', [units.return_item_id]) as effect_key,
    units.* replace (greatest(units.credit_due_at, instead.decided_at) as credit_due_at),
    instead.origin_return_id,
    items.refund_type,
    items.express_code,
    items.dropoff_method,
    items.received_channel,
    matched.shipment_id,
    matched.shipment_line_id,
    matched.reason as unmatched_reason,
    matched.doubt,
    matched.doubtful_return_id,
    matched.sku,
    matched.currency,
    matched.unit_price,
    matched.unit_tax,
    matched.unit_tax_added,
    matched.tax_mode,
    -- As Centra keeps it, before tax: what is sent, and what sums to the order's voucher.
    coalesce(instead.voucher, matched.voucher_share - matched.voucher_tax_added)::decimal(18, 4) as voucher_share,
    lines.tax_percent,
    paid.refund_id,
    paid.row_at,
    paid.item_fee,
    coalesce(paid.is_card_pending, false) and not paid.is_given_already as is_card_pending,
    value.chain_depth,
    value.root_order,
    exchange_chains.refused_id,
    value.refundable,
    value.exchange
    + value.chargeback
    + case when value.elsewhere > 0 then 0 else value.tied_refund end as given_otherwise,
    case
        when paid.is_given_already
            or value.tied_refund >= matched.unit_price - matched.voucher_share - policy.tax_slack(
                matched.tax_mode, matched.unit_tax, matched.currency
            ) then 'elsewhere'
        else coalesce(ways.pays_through, 'elsewhere')
    end as pays_through,
    least(
        coalesce(paid.row_at, 'infinity'::timestamptz),
        units.credit_due_at + to_hours(parameters.amount_wait_hours::integer)
    ) as amount_known_at
from effects.units as units
semi join matching.orders_in_play using (order_number)
cross join policy.parameters
join staging.return_items as items using (return_item_id)
join matching.matched_items as matched using (return_item_id)
left join staging.order_lines as lines on lines.order_line_id = matched.order_line_id
left join effects.value_given_back as value using (return_item_id)
left join exchange_chains on exchange_chains.return_item_id = units.return_item_id
left join paid_units as paid using (return_item_id)
left join canceled_replacements as instead on instead.return_item_id = units.return_item_id
left join
    policy.pays_through as ways
    on ways.refund_type = case items.refund_type when 'exchange' then 'refund' else items.refund_type end
where
    (items.refund_type <> 'exchange' or instead.origin_return_id is not null)
    and units.credit_due_at is not null
    and not units.is_refused
    and matched.foreign_centra_return_id is null
    and (units.is_after_cutover is distinct from false or units.credit_due_at >= parameters.cutover)
    and effect_key('credit_note', [units.return_item_id]) not in (select effect_key from keys_in_centra);
