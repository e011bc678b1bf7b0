-- makes: unit_blocks
-- kind:  step
-- grain: one row per due unit: why it is not credited, and what a person may let through

-- One row per refund row that differs from what Centra sold by more than the tolerance (asked for by on_difference = hold).
create or replace temp table differing_rows as
select refund_id
from (
    select
        paid.refund_id, paid.told_for_items, matched.currency, sum(matched.unit_price - matched.voucher_share) as sold,
        any_value(matched.tax_mode) as tax_mode, sum(matched.unit_tax)::decimal(18, 4) as tax
    from paid_units as paid
    join matching.matched_items as matched using (return_item_id)
    group by paid.refund_id, paid.told_for_items, matched.currency
)
left join policy.tolerance using (currency)
where abs(told_for_items - sold) > greatest(
        coalesce(tolerance.absolute, 0),
        coalesce(share_of(told_for_items, tolerance.percent, 100::decimal(18, 4), currency), 0),
        coalesce(policy.tax_slack(tax_mode, tax, currency), 0)
    );

-- One row per due unit, with the reason that comes first.
create or replace temp table unit_blocks as
with
judged_units as (
    select
        due_units.*,
        -- The tax of the fee, until Centra shows it: that of the goods.
        case when tax_mode = 'added' and parameters.return_cost_is_taxed then tax_added else 0 end as fee_rate_tax,
        amount - tax_added as kept,
        case
            when is_after_cutover is null then policy.reason('start_unknown')
            when not is_after_cutover then policy.reason('before_cutover')
            when shipment_line_id is null then policy.reason('no_shipment_line', unmatched_text(unmatched_reason))
            when doubt is not null then doubt_reason(doubt, doubtful_return_id, sku)
            when chain_depth > 0 and refused_id is not null
                then policy.reason('replaced_unit_refused', refused_id)
            when chain_depth > 0
                then policy.reason('sent_in_exchange', root_order, money_text(refundable, currency))
            when pays_through <> 'elsewhere' and given_otherwise > 0
                then policy.reason('given_otherwise', rest_text(given_otherwise, amount, currency))
            when pays_through <> 'elsewhere' and (is_card_pending or unplaced.is_pending)
                then policy.reason('gift_card_pending')
            when pays_through = 'gift_card' and parameters.gift_card_template is null
                then policy.reason('no_gift_card_template')
            when pays_through <> 'elsewhere' and blocks.has_unknown_payment
                then policy.reason('payment_unknown')
            when pays_through <> 'elsewhere' and blocks.nothing_captured then policy.reason('nothing_captured')
            when pays_through <> 'elsewhere' and (blocks.waits_for_capture or uncaptured.is_requested)
                then policy.reason('capture_not_confirmed')
            when pays_through <> 'elsewhere' and uncaptured.shipment_id is not null
                then policy.reason('shipment_not_captured')
            when pays_through <> 'elsewhere' and blocks.has_untied_refund
                then policy.reason('untied_refund')
            -- What a person may let through comes last: an approval of it is about nothing else.
            when pays_through <> 'elsewhere' and blocks.chargeback_abroad is not null
                then policy.reason('chargeback_abroad', blocks.chargeback_abroad)
            when pays_through <> 'elsewhere' and unplaced.refund_id is not null
                then policy.reason('gift_card_unplaced', unplaced.refund_id)
            when pays_through <> 'elsewhere' and blocks.booking_code is not null then policy.reason('booking_unknown')
            when voucher_share > 0 and blocks.has_shared_voucher
                then policy.reason('voucher_on_several_shipments')
            when parameters.on_difference = 'hold' and differing.refund_id is not null
                then policy.reason('refund_row_differs')
        end as block,
        list_filter([
            case when pays_through <> 'elsewhere' then blocks.chargeback_code end,
            case when pays_through <> 'elsewhere' then 'unplaced_gift_card ' || unplaced.refund_id end,
            case when pays_through <> 'elsewhere' then blocks.booking_code end,
            case when voucher_share > 0 and blocks.has_shared_voucher then 'shared_voucher' end,
            case when parameters.on_difference = 'hold' then 'differing_row ' || differing.refund_id end
        ], lambda code: code is not null) as approval_codes,
        parameters.fee_basis,
        parameters.fee_source,
        parameters.reported_costs
    from due_units
    cross join policy.parameters
    left join order_blocks as blocks using (order_number)
    left join uncaptured_shipments as uncaptured using (shipment_id)
    left join differing_rows as differing using (refund_id)
    left join
        unplaced_gift_cards as unplaced
        on unplaced.return_id = due_units.return_id and unplaced.order_number = due_units.order_number
)

select
    judged_units.* exclude (block),
    judged_units.block.code as blocked_code,
    reasons.place as blocked_place,
    policy.in_words(reasons.sentence, judged_units.block.figures) as blocked_by
from judged_units
left join policy.reasons on reasons.code = judged_units.block.code;
