-- makes: return_fees
-- kind:  step
-- grain: one row per return on an order: the fee of the whole return
-- loop:  push.ledger: a fee that an earlier push has sent for the return is not charged again

create or replace temp table return_fees as
with
-- A per-return fee is charged once: where the refund row has it; by the policy on the lowest order number. Never more than is given.
-- What was taken off per item before the policy changed counts.
fee_shares as (
    select
        carriers.*, reported.refund_id,
        least(carriers.kept, carriers.most, greatest(0, case
            when parameters.fee_source = 'happy_returns' and reported.refund_id is not null
                then kept_of_told(
                        coalesce(reported.fee, 0),
                        carriers.fee_rate_tax,
                        carriers.kept,
                        parameters.reported_costs,
                        carriers.currency
                    )
            when row_number()
                    over (
                        partition by carriers.return_id
                        order by carriers.most <= 0, try_cast(order_number as bigint), order_number
                    )
                = 1
                then rounded_money(
                        coalesce(
                            policy.zone_fee(carriers.dropoff_method, carriers.currency, carriers.order_number),
                            amounts.amount,
                            0
                        ),
                        carriers.currency
                    )
            else 0
        end - case
            when fee_sums.fee is null then 0
            when fee_sums.currency is distinct from carriers.currency then carriers.most
            else fee_sums.fee - added_within_part(carriers.fee_rate_tax, fee_sums.fee, carriers.kept, carriers.currency)
        end))::decimal(18, 4) as fee_kept
    from credit_carriers as carriers
    left join (
        select
            return_id,
            sum(fee)::decimal(18, 4) as fee,
            case when count(distinct currency) = 1 then min(currency) end as currency
        from fees_charged where effect_kind = 'credit_note' group by return_id
    ) as fee_sums using (return_id)
    cross join policy.parameters
    left join costs_reported as reported using (return_id, order_number)
    left join policy.fees as amounts
        on amounts.dropoff_method = carriers.dropoff_method and amounts.currency = carriers.currency
    where parameters.fee_basis = 'return'
        -- Where nothing comes back there is nothing to charge for, whatever is reported.
        and not carriers.is_returnless
        -- Its own fee stays desired while it is under way: found absent, it has to ride with the credit that is sent again.
        and not exists (
            select 1 from push.ledger
            where ledger.effect_kind = 'return_fee' and ledger.return_id = carriers.return_id
                and ledger.effect_key <> effect_key('return_fee', [carriers.return_id, carriers.order_number])
                and ledger.state in ('sending', 'unknown', 'confirmed')
        )
)

select
    * exclude (fee_kept),
    added_to_part(fee_rate_tax, fee_kept, kept, currency) as fee_tax_added,
    fee_kept + fee_tax_added as fee_amount
from fee_shares;
