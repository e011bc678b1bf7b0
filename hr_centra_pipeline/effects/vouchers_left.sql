-- makes: vouchers_left, voucher_part
-- kind:  step
-- grain: one row per order with a voucher: what is left of it, and how many pieces have not come back
-- loop:  push.ledger, push.packets: the last pushes used parts of vouchers before a pull shows their Returns

-- One row per order with a voucher: what is left of it, and how many pieces have not come back. A Return carries the part
-- that it carries, no matter who made it; an exchanged unit whose Return carries none (an order in several shipments, a Return made
-- by hand or by an earlier version) takes its share with it; our Return that no pull has shown yet, what its packet says.
create or replace temp table vouchers_left as
with
orders as (
    select order_number, discounts from staging.orders semi join matching.orders_in_play using (order_number)
    where discounts > 0
),

shown_returns as (
    select
        returns.order_number, sum(returns.discounts) as carried,
        sum((
            select sum(lines.quantity) from staging.centra_return_lines as lines
            where lines.centra_return_id = returns.centra_return_id
        )) as pieces
    from staging.centra_returns as returns
    semi join orders using (order_number)
    where returns.deleted_at is null
    group by returns.order_number
),

unshown_returns as (
    select
        packets.payload ->> 'order_number' as order_number,
        sum(coalesce((packets.payload ->> 'voucher')::decimal(18, 4), 0)) as carried,
        sum(list_sum(list_transform(
            from_json(packets.payload -> 'lines', '[{"members": ["VARCHAR"]}]'), lambda line: len(line.members)
        ))) as pieces
    from push.packets
    semi join orders on orders.order_number = packets.payload ->> 'order_number'
    where packets.operation in ('credit', 'exchange') and packets.state in ('sending', 'unknown', 'confirmed')
        and (packets.payload ->> 'first_step') is null -- it brings no Return of its own
        and not exists (
            select 1 from staging.centra_returns as returns where returns.packet_key = packets.packet_key
        )
    group by all
),

exchanged_units as (
    select order_number, sum(voucher_share) as carried
    from (
        select
            matched.return_item_id,
            matched.order_number,
            matched.voucher_share - matched.voucher_tax_added as voucher_share
        from push.ledger
        join matching.matched_items as matched using (return_item_id)
        semi join orders on orders.order_number = matched.order_number
        left join push.packets using (packet_key)
        left join packet_returns using (packet_key)
        left join staging.centra_returns as returns
            on returns.centra_return_id = coalesce(packet_returns.made_return_id, matched.foreign_centra_return_id)
        where ledger.effect_kind = 'exchange_order' and ledger.state in ('sending', 'unknown', 'confirmed')
        group by all
        having max(greatest(
                coalesce((packets.payload ->> 'voucher')::decimal(18, 4), 0), coalesce(returns.discounts, 0)
            )) = 0
    )
    group by order_number
),

ordered_pieces as (
    select order_number, sum(quantity) as pieces from staging.order_lines semi join orders using (order_number)
    group by order_number
)

select
    orders.order_number,
    orders.discounts
    - coalesce(shown_returns.carried, 0)
    - coalesce(unshown_returns.carried, 0)
    - coalesce(exchanged_units.carried, 0) as voucher_left,
    ordered_pieces.pieces - coalesce(shown_returns.pieces, 0) - coalesce(unshown_returns.pieces, 0) as pieces_left
from orders
join ordered_pieces using (order_number)
left join shown_returns using (order_number)
left join unshown_returns using (order_number)
left join exchanged_units using (order_number);

-- A unit's part of its order's voucher: its share, as far as it is left; the last piece of the order takes the rest.
create or replace temp macro voucher_part(unit_price, voucher_share, voucher_left, shares_before, is_last) as greatest(
    0, least(
        unit_price, voucher_left - coalesce(shares_before, 0), case when is_last then unit_price else voucher_share end
    )
);
