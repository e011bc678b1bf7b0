-- makes: shipping_refunds
-- kind:  step
-- grain: one row per return on an order that gives shipping back
-- loop:  push.ledger, push.packets: shipping that the last pushes gave counts before a pull shows it

create or replace temp table shipping_refunds as
with
-- One row per order: the shipping that Returns give back: those that are shown, and ours that no pull has shown yet.
shipping_so_far as (
    select order_number, sum(shipping) as shipping
    from (
        select order_number, shipping + handling as shipping from staging.centra_returns
        semi join credit_carriers using (order_number)
        where deleted_at is null
        union all
        select packets.payload ->> 'order_number', (packets.payload ->> 'shipping')::decimal(18, 4)
        from push.packets
        semi join credit_carriers as carriers on carriers.order_number = packets.payload ->> 'order_number'
        anti join staging.centra_returns as returns on returns.packet_key = packets.packet_key
        where packets.operation = 'credit' and packets.state = 'confirmed'
    )
    group by order_number
),

-- As Centra keeps it, before tax.
shipping_wishes as (
    select
        carriers.*,
        reported.refund_id,
        reported.told_at,
        orders.shipping_tax_added,
        orders.shipping + orders.handling as order_shipping,
        ledger.state in ('sending', 'unknown') as is_under_way,
        -- Its own Return, half done, has not used it up.
        own.shipping as shown,
        orders.shipping + orders.handling - coalesce(spent.shipping, 0) + coalesce(own.shipping, 0) as shipping_left,
        greatest(case when parameters.shipping_source = 'policy' then orders.shipping + orders.handling
            else kept_of_told(
                    coalesce(reported.shipping, 0),
                    orders.shipping_tax_added,
                    orders.shipping + orders.handling,
                    parameters.reported_costs,
                    carriers.currency
                )
        end, 0) as wanted
    from credit_carriers as carriers
    left join (select effect_key, state from push.ledger where effect_kind = 'shipping_refund') as ledger
        on ledger.effect_key = effect_key('shipping_refund', [carriers.return_id, carriers.order_number])
    left join shipping_so_far as spent using (order_number)
    left join (
        select effect_key, sum(shipping)::decimal(18, 4) as shipping
        from (
            select unnest(effect_keys) as effect_key, shipping + handling as shipping from staging.centra_returns
            semi join credit_carriers using (order_number)
            where deleted_at is null
        )
        group by effect_key
    ) as own on own.effect_key = effect_key('shipping_refund', [carriers.return_id, carriers.order_number])
    cross join policy.parameters
    join staging.orders as orders using (order_number)
    left join costs_reported as reported using (return_id, order_number)
    left join whole_orders using (order_number)
    -- Centra keeps the shipping cost on an order's first shipment.
    join (
        select order_number, min(shipment_id) as shipment_id
        from staging.shipments semi join matching.orders_in_play using (order_number)
        group by order_number
    ) as first_one
        on first_one.order_number = carriers.order_number and first_one.shipment_id = carriers.shipment_id
    where parameters.shipping_rule <> 'never'
        and (parameters.shipping_rule = 'as_told' or whole_orders.order_number is not null)
),

-- Of several returns of one order the one whose row came first has it; what is left, the next. What a Return that is shown gives is
-- not left for the others as it is.
shipping_shares as (
    select
        * exclude (told_at, is_under_way, shown, shipping_left, wanted),
        least(wanted, shipping_left - coalesce(sum(wanted) filter (where shown is null) over (
            partition by order_number order by coalesce(is_under_way, false) desc, told_at nulls last, return_id
            rows between unbounded preceding and 1 preceding
        ), 0))::decimal(18, 4) as shipping_kept
    from shipping_wishes
)

select
    * exclude (shipping_tax_added, order_shipping, shipping_kept),
    added_to_part(shipping_tax_added, shipping_kept, order_shipping, currency) as tax_added,
    shipping_kept + tax_added as shipping_amount
from shipping_shares;
