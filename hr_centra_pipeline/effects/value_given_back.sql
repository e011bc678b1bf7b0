-- makes: effects.value_given_back
-- kind:  table
-- grain: one row per matched unit of the active orders: what it cost, and what was given back for it by anyone
-- loop:  effects.value_given_back: members of a chain of exchanges on orders that are not active were valued before

-- Never more than was paid, traced to the root order when the unit was itself sent in exchange.

delete from effects.value_given_back where order_number in (select order_number from matching.orders_in_play);
insert into effects.value_given_back by name
with
sums_given as (
    select
        return_item_id,
        sum(amount) filter (where way = 'refund') as refund,
        sum(amount) filter (where way = 'gift_card') as gift_card,
        sum(amount) filter (where way = 'exchange') as exchange,
        sum(amount) filter (where way = 'elsewhere') as elsewhere,
        sum(amount) filter (where way = 'external') as foreign_refund,
        sum(amount) filter (where way = 'tied') as tied_refund,
        sum(amount) filter (where way = 'chargeback') as chargeback,
        sum(amount) as given,
        sum(amount) filter (where way <> 'exchange') as money,
        bool_or(is_in_doubt) as is_in_doubt,
        coalesce(sum(amount) filter (where is_instead and not is_in_doubt), 0) as instead
    from values_given group by return_item_id
),

-- What the chain's root cost, and the money that was given anywhere in the chain.
roots as (
    select
        exchange_chains.return_item_id,
        exchange_chains.root_id,
        exchange_chains.depth,
        exchange_chains.refused_id,
        root.order_number as root_order,
        root.unit_price - coalesce(root.voucher_share, 0) as root_paid
    from exchange_chains
    join matching.matched_items as root on root.return_item_id = exchange_chains.root_id
),

chain_money as (
    select members.root_id, sum(coalesce(sums_given.money, known.given - known.exchange)) as money
    from (
        select root_id, return_item_id from exchange_chains
        union
        select root_id, root_id from exchange_chains
    ) as members
    left join sums_given using (return_item_id)
    left join effects.value_given_back as known using (return_item_id)
    group by members.root_id
)

select
    units.return_item_id, units.return_id, units.order_number, units.currency,
    coalesce(roots.root_id, units.return_item_id) as root_return_item_id,
    coalesce(roots.root_order, units.order_number) as root_order,
    coalesce(roots.depth, 0) as chain_depth,
    units.paid::decimal(18, 4) as paid,
    coalesce(refund, 0)::decimal(18, 4) as refund,
    coalesce(gift_card, 0)::decimal(18, 4) as gift_card,
    coalesce(exchange, 0)::decimal(18, 4) as exchange,
    coalesce(elsewhere, 0)::decimal(18, 4) as elsewhere,
    coalesce(foreign_refund, 0)::decimal(18, 4) as foreign_refund,
    coalesce(tied_refund, 0)::decimal(18, 4) as tied_refund,
    coalesce(chargeback, 0)::decimal(18, 4) as chargeback,
    coalesce(given, 0)::decimal(18, 4) as given,
    coalesce(is_in_doubt, false) as is_in_doubt,
    coalesce(units.refund_type = 'exchange' and instead > 0 and instead >= units.paid - units.slack, false)
        as is_paid_instead,
    -- The shopper has kept a piece: nothing is owed for the one that was sent in its place.
    case when roots.refused_id is not null then 0 else more_than(coalesce(roots.root_paid, units.paid) - case
                when roots.root_id is not null then coalesce(chain_money.money, 0) else coalesce(given, 0)
            end, units.slack)
    end as refundable,
    more_than(
        coalesce(given, 0)
        - case when roots.root_id is not null then greatest(units.paid, roots.root_paid) else units.paid end,
        units.slack
    ) as too_much
from valued_units as units
left join sums_given using (return_item_id)
left join roots using (return_item_id)
left join chain_money on chain_money.root_id = roots.root_id;
