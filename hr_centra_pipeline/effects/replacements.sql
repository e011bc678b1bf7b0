-- makes: effects.replacements
-- kind:  table
-- grain: one row per confirmed replacement of a unit of the active orders, and the order in Centra made for it
-- loop:  push.ledger: a replacement is known by the order that an earlier push has confirmed

-- One row per confirmed replacement of a unit of the active orders: the orders in Centra that were made for it, and what became
-- of its piece of them. What one packet made (or what a person has tied together) is shared by its units.
create or replace temp table confirmed_exchanges as
select
    ledger.effect_key, ledger.return_item_id, ledger.return_id, ledger.order_number, items.exchange_sku as sku,
    list_position(
        list_transform(
            range(1, 10), lambda place: effect_key('exchange_order', exchange_ids(ledger.return_item_id, place))
        ),
        ledger.effect_key
    ) as ordinal,
    coalesce(ledger.packet_key, 'order ' || ledger.centra_id) as made_by,
    ledger.packet_key,
    ledger.centra_id,
    ledger.confirmed_at,
    -- One that was ordered again has no Return of its own: it is for the piece on the first one's.
    coalesce(
        packet_returns.made_return_id, matched.foreign_centra_return_id,
        min(packet_returns.made_return_id) over (partition by ledger.return_item_id)
    ) as centra_return_id
from push.ledger
semi join matching.orders_in_play using (order_number)
join staging.return_items as items using (return_item_id)
left join matching.matched_items as matched using (return_item_id)
left join packet_returns on packet_returns.packet_key = ledger.packet_key
where ledger.effect_kind = 'exchange_order' and ledger.state = 'confirmed';

-- One row per packet and order that it made: by the number that Centra answered, or by our mark in the order's comment.
create or replace temp table replacement_orders as
with
order_names as (
    select made_by, confirmed_at, unnest(string_split(centra_id, ' ')) as order_number
    from confirmed_exchanges
    -- Read back from its Return after our database was lost, or ended without an order: then it is the Return's id.
    where centra_id is distinct from centra_return_id::varchar
    union all
    select confirmed.made_by, confirmed.confirmed_at, orders.order_number
    from confirmed_exchanges as confirmed
    join staging.orders on orders.origin_return_key = confirmed.packet_key
),

made_orders as (
    select made_by, order_number, min(confirmed_at) as confirmed_at from order_names group by all
)

select
    made_orders.made_by, made_orders.order_number, orders.created_at, orders.updated_at,
    orders.order_number is not null and (orders.is_cancelled is distinct from true) as is_live,
    -- No pull that must have shown it has completed since it was made.
    orders.order_number is null and not exists (
        select 1 from landing.centra_pulls as pulls
        where pulls."object" = 'orders' and pulls.is_complete and pulls.fetched_at > made_orders.confirmed_at
            and pulls.window_from <= made_orders.confirmed_at
    ) as is_unread
from made_orders
left join staging.orders as orders using (order_number);

-- One row per piece of a live replacement order, with the shipment that holds it: of each line in a shipment as many as there are
-- units that it may be for.
create or replace temp table replacement_pieces as
with
units as (
    select made_by, count(*) as units from confirmed_exchanges group by made_by
),

ordered_lines as (
    select orders.made_by, orders.created_at, lines.order_number, lines.order_line_id, lines.sku, lines.quantity
    from replacement_orders as orders
    join staging.order_lines as lines using (order_number)
    where orders.is_live
),

-- One row per line of a shipment: how many pieces of the order's line are in those before it.
packed_lines as (
    select
        lines.order_line_id, shipments.shipment_id, shipments.is_shipped, shipments.shipped_at, shipments.is_paid,
        shipments.is_good_to_go, lines.quantity,
        coalesce(sum(lines.quantity) over (
            partition by lines.order_line_id order by lines.shipment_id, lines.shipment_line_id
            rows between unbounded preceding and 1 preceding
        ), 0) as before
    from staging.shipment_lines as lines
    join staging.shipments as shipments using (shipment_id)
    where lines.order_line_id in (select order_line_id from ordered_lines) and lines.quantity > 0
),

-- One row per line and shipment, and one for what is in none: its pieces after ``before``, up to ``upto``.
portions as (
    select
        ordered_lines.*, packed_lines.* exclude (order_line_id, quantity),
        least(packed_lines.before + packed_lines.quantity, ordered_lines.quantity) as upto
    from ordered_lines
    join packed_lines using (order_line_id)
    union all by name
    select ordered_lines.*, coalesce(all_packed.quantity, 0) as before, ordered_lines.quantity as upto
    from ordered_lines
    left join (
        select order_line_id, sum(quantity) as quantity from packed_lines group by order_line_id
    ) as all_packed using (order_line_id)
)

select
    portions.made_by, portions.created_at, portions.order_number, portions.sku, portions.shipment_id,
    coalesce(portions.is_shipped, false) as is_shipped, portions.shipped_at, portions.is_paid, portions.is_good_to_go,
    row_number() over (
        partition by portions.made_by, portions.sku
        order by
            coalesce(portions.is_shipped, false) desc,
            portions.shipment_id nulls last,
            portions.order_line_id,
            numbers.piece
    ) as place
from portions
join units using (made_by)
cross join range(
    portions.before::bigint + 1, least(portions.upto, portions.before + units.units)::bigint + 1
) as numbers (piece);

delete from effects.replacements where order_number in (select order_number from matching.orders_in_play);
insert into effects.replacements by name
with
units as (
    select *, row_number() over (partition by made_by, sku order by return_item_id, effect_key) as place
    from confirmed_exchanges
),

-- One row per replacement and piece of its own article.
pieces_by_article as (
    select units.effect_key, pieces.*
    from units
    join replacement_pieces as pieces using (made_by, sku, place)
),

-- Somebody put another article into the order: its pieces are for the units that have none.
pieces_by_order as (
    select units.effect_key, pieces.*
    from (
        select *, row_number() over (partition by made_by order by return_item_id, effect_key) as turn
        from units anti join pieces_by_article using (effect_key)
    ) as units
    join (
        select
            *,
            row_number()
                over (partition by made_by order by is_shipped desc, shipment_id nulls last, sku, place)
                as turn
        from replacement_pieces anti join pieces_by_article using (made_by, sku, place)
    ) as pieces using (made_by, turn)
),

piece_places as (
    from pieces_by_article
    union all by name
    select * exclude (turn) from pieces_by_order
),

made_pieces as (
    select
        made_by, list(order_number order by order_number) as order_numbers, max(updated_at) as updated_at,
        min(order_number) filter (where is_unread) as unread_number
    from replacement_orders group by made_by
)

select
    units.effect_key, units.return_item_id, units.return_id, units.order_number, units.ordinal, units.centra_return_id,
    coalesce(made_pieces.order_numbers, []) as order_numbers,
    coalesce(piece_places.order_number, made_pieces.unread_number) as replacement_order_number,
    piece_places.sku as replacement_sku,
    case
        when piece_places.is_shipped then 'shipped'
        when piece_places.order_number is not null or made_pieces.unread_number is not null then 'ordered'
        -- Nothing names an order: either somebody has wiped its comment since our database was lost, or it was never made,
        -- because somebody had refunded its Return.
        when made_pieces.made_by is null and not exists (
                select 1 from staging.payment_entries as entries
                where entries.centra_return_id = units.centra_return_id and is_given_back(entries.money)
            ) then 'ordered'
        else 'canceled'
    end as state,
    piece_places.shipment_id, piece_places.is_paid, piece_places.is_good_to_go,
    coalesce(piece_places.created_at, units.confirmed_at) as ordered_at,
    piece_places.shipped_at,
    made_pieces.updated_at as order_updated_at
from units
left join piece_places on piece_places.effect_key = units.effect_key
left join made_pieces on made_pieces.made_by = units.made_by;
