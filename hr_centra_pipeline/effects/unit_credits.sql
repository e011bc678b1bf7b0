-- makes: unit_credits
-- kind:  step
-- grain: one row per unit whose credit is due, with its fee

-- The fee rule of what is sent: of a unit here, of a whole return in return_fees.sql. reconciliation/expected_costs.sql has that of the
-- expected side; tests hold the two together on random rows.

create or replace temp table unit_credits as
with
-- The fee of a unit, as Centra keeps it: before tax.
item_fees as (
    select
        unit_blocks.*,
        -- Never more than is given: where Centra deducts tax, that is less than what it keeps.
        -- One basis per return: where a fee of the whole return was taken before the policy changed, that was its fee.
        (
            case when fee_basis = 'item'
                    and refund_type = 'refund'
                    and origin_return_id is null
                    and not is_returnless(received_channel, dropoff_method)
                    and return_id not in (select return_id from fees_charged where effect_kind = 'return_fee')
                    then
                        least(kept, unit_blocks.amount, case
                            when fee_source = 'happy_returns' and refund_id is not null
                                then
                                    kept_of_told(coalesce(item_fee, 0), fee_rate_tax, kept, reported_costs, currency)
                            else rounded_money(
                                    coalesce(policy.zone_fee(dropoff_method, currency, order_number), fees.amount, 0),
                                    currency
                                )
                        end)
                else 0
            end
        )::decimal(18, 4) as fee_kept
    from unit_blocks
    left join policy.fees as fees using (dropoff_method, currency)
)

select
    effect_key,
    'credit_note' as effect_kind,
    order_number as group_key,
    return_id,
    return_item_id,
    order_number,
    shipment_id,
    shipment_line_id,
    sku,
    1 as quantity,
    currency,
    item_fees.amount,
    item_fees.amount - tax as items,
    tax,
    cast(0 as decimal(18, 4)) as shipping,
    fee_kept + fee_tax_added as fee,
    voucher_share as voucher,
    tax_mode,
    tax_added,
    fee_tax_added,
    fee_rate_tax,
    kept,
    pays_through,
    express_code,
    refund_id,
    origin_return_id,
    credit_due_at as trigger_at,
    greatest(credit_due_at, amount_known_at) as sendable_at,
    blocked_by,
    blocked_code,
    blocked_place,
    approval_codes,
    credit_trigger,
    refund_type,
    dropoff_method,
    is_returnless(received_channel, dropoff_method) as is_returnless
from (
    select *, added_to_part(fee_rate_tax, fee_kept, kept, currency) as fee_tax_added
    from item_fees
) as item_fees;
