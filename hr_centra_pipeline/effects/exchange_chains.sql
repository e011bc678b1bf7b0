-- makes: exchange_links, exchange_chains
-- kind:  step
-- grain: one row per unit that was itself sent in exchange, with the root of its chain
-- loop:  push.ledger, push.packets: a replacement is known by what an earlier push has sent

-- One row per returned unit that was sent in exchange, with the unit that it replaced: of one article in the order of ids. The
-- article is the one that was sent, which may be another one than is asked for by now.
create or replace temp table exchange_links as
with
replacements as (
    select packets.packet_key as origin, orders.order_number, ledger.return_item_id as parent_id
    from staging.orders
    join push.packets on packets.packet_key = orders.origin_return_key
    join push.ledger on ledger.packet_key = packets.packet_key and ledger.effect_kind = 'exchange_order'
    union all
    -- Our database was lost: the ledger knows the key of the packet all the same.
    select orders.origin_return_key, orders.order_number, ledger.return_item_id
    from staging.orders
    join push.ledger on ledger.packet_key = orders.origin_return_key and ledger.effect_kind = 'exchange_order'
    anti join push.packets on packets.packet_key = orders.origin_return_key
    union all
    select 'tied', centra_id, return_item_id from push.ties where what = 'order' and return_item_id is not null
),

sent_articles as (
    select return_item_id, replacement_order_number as order_number, min(replacement_sku) as sku
    from effects.replacements where replacement_sku is not null group by all
),

parents as (
    select
        replacements.order_number, replacements.parent_id, coalesce(sent_articles.sku, items.exchange_sku, '-') as sku,
        row_number() over (
            partition by replacements.order_number, coalesce(sent_articles.sku, items.exchange_sku, '-')
            order by parent_id
        ) as place
    from replacements
    join staging.return_items as items on items.return_item_id = replacements.parent_id
    left join
        sent_articles
        on sent_articles.return_item_id = replacements.parent_id
            and sent_articles.order_number = replacements.order_number
),

children as (
    select
        return_item_id, order_number, coalesce(sku, '-') as sku,
        row_number() over (partition by order_number, coalesce(sku, '-') order by return_item_id) as place
    from matching.matched_items
    semi join parents using (order_number)
)

select children.return_item_id, children.order_number, parents.parent_id
from children
join parents using (order_number, sku, place);

-- One row per unit in an exchange chain: its root and how many exchanges are between; and the last unit before it that was refused.
create or replace temp table exchange_chains as
with recursive
ancestors as (
    select return_item_id, parent_id as root_id, 1 as depth from exchange_links
    union all
    select ancestors.return_item_id, exchange_links.parent_id, ancestors.depth + 1
    from ancestors
    join exchange_links on exchange_links.return_item_id = ancestors.root_id
    where ancestors.depth < 50
)

select
    ancestors.return_item_id, arg_max(ancestors.root_id, ancestors.depth) as root_id, max(ancestors.depth) as depth,
    arg_min(ancestors.root_id, ancestors.depth) filter (where units.is_refused) as refused_id
from ancestors
left join effects.units as units on units.return_item_id = ancestors.root_id
group by ancestors.return_item_id;
