-- makes: expected_units
-- kind:  step
-- grain: one row per unit whose money is due by the policy, or was given: what Centra sold it for

-- One row per unit whose money is due by the policy, or was given: what Centra sold it for. The voucher's tax is rounded
-- once for all units of one Return (or of the return, as long as there is none), as both vendors do.
create or replace temp table expected_units as
with
units_due as (
    select
        units.return_item_id,
        units.return_id,
        units.order_number,
        units.currency,
        units.country,
        units.dropoff_method,
        units.refund_type,
        units.is_returnless,
        units.is_refused,
        units.credit_trigger,
        units.credit_due_at,
        units.tax_percent,
        units.unit_tax,
        units.voucher_share, units.unit_price - units.voucher_share as gross, pieces.centra_return_id,
        coalesce(pieces.centra_return_id::varchar, units.return_id) as together, units.tax_mode, units.unit_tax_added,
        units.voucher_tax_added,
        units.unit_tax - units.voucher_tax as own_tax
    from known_units as units
    left join (
        select return_item_id, min(centra_return_id) as centra_return_id from return_pieces
        where return_item_id is not null group by return_item_id
    ) as pieces using (return_item_id)
    where units.refund_type <> 'exchange'
        and (pieces.return_item_id is not null or (units.credit_due_at is not null and not units.is_refused))
),

taxes_by_rate as (
    select
        together, order_number, tax_percent, currency,
        case
            when coalesce(any_value(tax_mode), 'included') = 'included'
                then sum(unit_tax) - tax_in(sum(voucher_share), tax_percent, currency)
            else sum(own_tax)
        end as tax,
        max(return_item_id) as last_unit
    from units_due group by together, order_number, tax_percent, currency
)

select
    units_due.* exclude (own_tax, together, unit_tax, voucher_share),
    case
        when return_item_id = last_unit then taxes_by_rate.tax - sum(own_tax) over same + own_tax else own_tax
    end::decimal(
        18, 4
    ) as tax,
    coalesce(pending_credits.sendable_at, units_due.credit_due_at) + to_hours(rules.window_hours::integer) as opens_at,
    units_due.centra_return_id is null and pending_credits.return_item_id is not null as is_missing
from units_due
join taxes_by_rate
    on taxes_by_rate.together = units_due.together and taxes_by_rate.order_number = units_due.order_number
        and taxes_by_rate.tax_percent = units_due.tax_percent and taxes_by_rate.currency = units_due.currency
left join (
    select return_item_id, min(sendable_at) as sendable_at from effects.pending_credit_notes group by return_item_id
) as pending_credits using (return_item_id)
cross join (
    select window_hours from policy.exception_kinds
    where kind in (select missing from policy.effect_types where effect_kind = 'credit_note')
) as rules
window same as (partition by units_due.together, units_due.order_number, units_due.tax_percent, units_due.currency);
