-- makes: return_costs
-- kind:  step
-- grain: one row per Return and the return that its units belong to, with its part of the Return's costs

-- One row per Return and the return that its units belong to, with its part of the Return's costs (as Centra keeps them, and the
-- tax that it adds): as our effects planned them, where that is the same sum, else by value.
create or replace temp table return_costs as
with
pairs as (
    select
        centra_return_id,
        order_number,
        currency,
        return_id,
        bool_or(is_exchange) as is_exchange,
        bool_and(is_foreign) as is_foreign,
        greatest(sum(gross), 0) as value
    from return_pieces
    group by all
),

planned_costs as (
    select
        carried_effects.centra_return_id,
        carried_effects.return_id,
        sum(carried_effects.amount) filter (where carried_effects.effect_kind = 'shipping_refund') as shipping,
        sum(fees.fee) as fee
    from carried_effects
    left join fees_charged as fees using (effect_key)
    where not is_deleted
    group by all
),

pair_costs as (
    select
        pairs.*, coalesce(planned_costs.shipping, 0) as planned_shipping, coalesce(planned_costs.fee, 0) as planned_fee,
        returns.shipping + returns.handling as shipping, returns.shipping_tax_added as shipping_tax,
        returns.return_cost as fee, returns.return_cost_tax_added as fee_tax,
        case when max(value) over (partition by pairs.centra_return_id) > 0 then value else 1 end as weight
    from pairs
    join staging.centra_returns as returns using (centra_return_id)
    left join
        planned_costs
        on planned_costs.centra_return_id = pairs.centra_return_id and planned_costs.return_id = pairs.return_id
),

cost_weights as (
    select
        * exclude (weight),
        case when sum(planned_shipping) over of_return = shipping + shipping_tax then planned_shipping else weight end
            as shipping_weight,
        case when sum(planned_fee) over of_return = fee + fee_tax then planned_fee else weight end as fee_weight
    from pair_costs
    window of_return as (partition by centra_return_id)
),

cost_sums as (
    select
        *, sum(shipping_weight) over so_far as shipping_upto, sum(shipping_weight) over of_return as shipping_whole,
        sum(fee_weight) over so_far as fee_upto, sum(fee_weight) over of_return as fee_whole
    from cost_weights
    window
        of_return as (partition by centra_return_id),
        so_far as (
            partition by centra_return_id order by return_id nulls last rows between unbounded preceding and current row
        )
)

select *, shipping_kept + shipping_added as shipping, fee_kept + fee_added as fee
from (
    select
        centra_return_id, order_number, currency, return_id, is_exchange,
        part_of(shipping, shipping_upto - shipping_weight, shipping_upto, shipping_whole, currency) as shipping_kept,
        part_of(shipping_tax, shipping_upto - shipping_weight, shipping_upto, shipping_whole, currency)
            as shipping_added,
        part_of(fee, fee_upto - fee_weight, fee_upto, fee_whole, currency) as fee_kept,
        part_of(fee_tax, fee_upto - fee_weight, fee_upto, fee_whole, currency) as fee_added
    from cost_sums
);
