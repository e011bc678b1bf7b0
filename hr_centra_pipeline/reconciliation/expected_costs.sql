-- makes: expected_costs
-- kind:  step
-- grain: one row per return and order with refunds to the original payment: the shipping and the fee that the policy
--        gives and takes

-- The fee rule of the expected side. effects/unit_credits.sql (per unit) and effects/return_fees.sql (per return) have that of what is
-- sent; a test holds the two together on random rows.

create or replace temp table expected_costs as
with
pairs as (
    select
        return_id,
        order_number,
        currency,
        country,
        any_value(dropoff_method) as dropoff_method,
        bool_and(is_returnless) as is_returnless,
        list(gross) as prices, sum(gross) as credited, min(coalesce(credit_due_at, known.created_at)) as happened_at,
        bool_and(credit_due_at is null) or bool_or(is_missing and opens_at > $now) as is_pending
    from expected_units
    left join (select centra_return_id, created_at from return_states) as known using (centra_return_id)
    where refund_type = 'refund'
    group by return_id, order_number, currency, country
),

-- What was taken off on each order of a return, and on which basis the return was charged anywhere.
fees_by_order as (
    select
        return_id, order_number, sum(fee)::decimal(18, 4) as fee,
        bool_or(bool_or(effect_kind = 'credit_note')) over (partition by return_id) as has_items,
        bool_or(bool_or(effect_kind = 'return_fee')) over (partition by return_id) as has_whole
    from fees_charged
    group by return_id, order_number
),

-- A fee per return is charged once: on its lowest order with a credit that pays, and never more than that credit.
pair_rules as (
    select
        pairs.*,
        -- as Centra keeps them: before tax
        kept_of_told(reported.shipping, taxed.shipping_tax, taxed.shipping, taxed.reported_costs, pairs.currency)
            as told_shipping,
        reported_with_tax(
            case parameters.fee_basis when 'item' then reported.fee_of_units else reported.fee end,
            taxed.fee_tax,
            taxed.fee,
            taxed.reported_costs,
            pairs.currency
        ) as told_fee,
        taxed.shipping as taxed_shipping, taxed.shipping_tax,
        reported.told_at, orders.shipping + orders.handling as order_shipping,
        orders.shipping + orders.handling > 0 and parameters.shipping_rule <> 'never'
        and (parameters.shipping_rule = 'as_told' or whole_orders.order_number is not null) as gives_shipping,
        parameters.shipping_source, parameters.shipping_rule, parameters.fee_basis, parameters.fee_source,
        -- the policy's fee: null where it names fees, and none for this
        case
            when pairs.is_returnless then 0
            when coalesce(zones.amount, fees.amount) is not null
                then list_sum(list_transform(
                        -- Of a unit never more than was paid for it.
                        case parameters.fee_basis when 'item' then pairs.prices else [null] end,
                        lambda price: least(price, with_tax_added(
                            rounded_money(coalesce(zones.amount, fees.amount), pairs.currency),
                            taxed.fee_tax, taxed.fee, pairs.currency
                        ))
                    ))
            when
                methods.dropoff_method is null
                and (select count(*) from policy.fees) + (select count(*) from policy.zone_fees) > 0
                then 0
            when parameters.fee_source = 'policy' then 0
        end as rule_fee,
        sum(case when pairs.is_returnless then 0 else pairs.credited end) over earlier as credited_before,
        coalesce(fees_by_order.fee, 0) as charged, coalesce(fees_by_order.has_items, false) as is_charged_per_item,
        coalesce(fees_by_order.has_whole, false) as is_charged_per_return
    from pairs
    cross join policy.parameters
    join staging.orders as orders on orders.order_number = pairs.order_number
    left join
        costs_reported as reported
        on reported.return_id = pairs.return_id and reported.order_number = pairs.order_number
    left join whole_orders on whole_orders.order_number = pairs.order_number
    left join cost_taxes as taxed on taxed.return_id = pairs.return_id and taxed.order_number = pairs.order_number
    left join
        fees_by_order
        on fees_by_order.return_id = pairs.return_id and fees_by_order.order_number = pairs.order_number
    left join policy.fees as fees on fees.dropoff_method = pairs.dropoff_method and fees.currency = pairs.currency
    left join policy.zone_fees as zones
        on zones.dropoff_method = pairs.dropoff_method
            and zones.currency = pairs.currency
            and zones.country = pairs.country
    left join (
        select dropoff_method from policy.fees
        union
        select dropoff_method from policy.zone_fees
    ) as methods on methods.dropoff_method = pairs.dropoff_method
    window earlier as (
        partition by pairs.return_id order by try_cast(pairs.order_number as bigint), pairs.order_number
        rows between unbounded preceding and 1 preceding
    )
),

shipping_shares as (
    select
        pair_rules.*,
        (case
            when not gives_shipping then 0
            -- as reported, up to what is left after the returns before; the policy's, to the first
            else greatest(0, least(asks, order_shipping - coalesce(sum(asks) over before, 0)))
        end)::decimal(18, 4) as shipping_kept
    from (
        select
            pair_rules.*,
            case when shipping_source = 'policy' then order_shipping else coalesce(told_shipping, 0) end as asks
        from pair_rules
    ) as pair_rules
    left join (
        select return_id, order_number, sum(shipping) > 0 as has_it from return_costs group by all
    ) as costs on costs.return_id = pair_rules.return_id and costs.order_number = pair_rules.order_number
    -- who has it keeps it, though a row that was issued earlier may turn up later
    window before as (
        partition by pair_rules.order_number
        order by coalesce(has_it, false) desc, told_at nulls last, pair_rules.return_id
        rows between unbounded preceding and 1 preceding
    )
)

select
    return_id,
    order_number,
    currency,
    dropoff_method,
    happened_at,
    is_pending,
    shipping_rule,
    shipping_source,
    fee_basis,
    with_tax_added(shipping_kept, shipping_tax, taxed_shipping, currency) as shipping,
    -- One basis per return: what it was charged, when the policy's basis is another one now.
    least(credited, case
        when fee_basis = 'item' and is_charged_per_return then charged
        when fee_basis = 'return' and is_charged_per_item then greatest(charged, coalesce(rule_fee, told_fee, 0))
        when rule_fee is null then coalesce(told_fee, 0)
        when fee_basis = 'item' then rule_fee
        when coalesce(credited_before, 0) > 0 then 0
        else rule_fee
    end)::decimal(18, 4) as fee
from shipping_shares;
