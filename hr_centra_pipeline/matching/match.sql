-- makes: matching.matched_items
-- kind:  table
-- grain: one row per return unit, with the shipment line that it is, or why it has none
-- loop:  push.ledger: a match is frozen once an effect of its unit was sent

-- Every unit finds its place among the shipped pieces of its order: each piece is a slot, each slot is taken once. Only the
-- orders in play are looked at, each with all of its units; what is settled keeps its place.
create or replace temp table items_in_play as
from staging.return_items semi join matching.orders_in_play using (order_number);

-- One row per unit in play: how much has happened for its claim to a piece, and when it began. 0: none, since it was refused, or
-- its return is over and its goods never came.
create or replace temp table claims as
select
    return_item_id, return_created_at,
    case
        when not came and approved_at is null and return_status in ('expired', 'failed', 'canceled') then 0
        when policy.is_refused(disposition, approval_withdrawn_at, return_status, approved_at) then 0
        else 1 + came::bigint + (approved_at is not null)::bigint + (disposition is not null)::bigint
    end as strength,
    not came as never_came
from (
    select
        *,
        received_at is not null
        or hub_received_at is not null
        or warehouse_received_at is not null
        or disposition is not null
            as came
    from items_in_play
);

-- What a line is of: its SKU, else what else names an article.
create or replace temp macro article_of(sku, ean, upc, order_line_id) as coalesce(sku, ean, upc, order_line_id);

-- One row per unit and order line that it may be, with how it was recognised (the first way that fits wins).
create or replace temp table candidates as
with
fits as (
    select items.return_item_id, lines.order_line_id, 1 as rank, 'line_id' as matched_by
    from items_in_play as items
    join staging.order_lines as lines
        on lines.order_number = items.order_number and lines.order_line_id = items.base_line_item_id
    union all
    -- It names its bundle's line.
    select items.return_item_id, lines.order_line_id, 1, 'line_id'
    from items_in_play as items
    join
        staging.order_lines
            as lines
        on lines.order_number = items.order_number and lines.bundle_line_id = items.base_line_item_id
            and (
                lines.sku = items.sku or lines.ean in (items.upc, items.sku, items.label_barcode)
                or lines.upc in (items.upc, items.sku, items.label_barcode)
            )
    union all
    select items.return_item_id, lines.order_line_id, 2, 'sku'
    from items_in_play as items
    join staging.order_lines as lines on lines.order_number = items.order_number and lines.sku = items.sku
    union all
    select items.return_item_id, lines.order_line_id, 3, 'ean'
    from items_in_play as items
    join staging.order_lines as lines
        on lines.order_number = items.order_number and lines.ean in (items.upc, items.sku, items.label_barcode)
    union all
    select items.return_item_id, lines.order_line_id, 4, 'upc'
    from items_in_play as items
    join staging.order_lines as lines
        on lines.order_number = items.order_number and lines.upc in (items.upc, items.sku, items.label_barcode)
)

select return_item_id, order_line_id, matched_by
from fits
qualify rank = min(rank) over (partition by return_item_id);

-- One row per unit that fits lines of several articles, so that nobody can say which one it is.
create or replace temp table ambiguous as
select candidates.return_item_id
from candidates
join staging.order_lines as lines using (order_line_id)
where lines.is_product
group by candidates.return_item_id
having count(distinct article_of(lines.sku, lines.ean, lines.upc, lines.order_line_id)) > 1;

-- One row per order in play: how many pieces of a line are looked at, one more than it has units. A line may have millions.
create or replace temp table most_pieces as
select orders.order_number, count(items.return_item_id) + 1 as pieces
from matching.orders_in_play as orders
left join items_in_play as items using (order_number)
group by orders.order_number;

-- One row per shipped line, with how many pieces it has: each is a slot. Of a bundle the parts are shipped.
create or replace temp table slots as
select
    shipment_lines.shipment_line_id,
    shipment_lines.shipment_id,
    lines.order_number,
    lines.order_line_id,
    article_of(lines.sku, lines.ean, lines.upc, lines.order_line_id) as article,
    shipments.shipped_at,
    lines.bundle_line_id is not null as is_part,
    shipment_lines.quantity,
    shipment_lines.unit_price,
    shipment_lines.unit_tax,
    coalesce(shipment_lines.unit_tax_added, 0) as unit_tax_added,
    shipment_lines.currency
from staging.shipment_lines
join staging.shipments using (shipment_id)
join staging.order_lines as lines on lines.order_line_id = shipment_lines.order_line_id
semi join matching.orders_in_play on orders_in_play.order_number = lines.order_number
where shipments.is_shipped and lines.is_product and shipment_lines.quantity > 0;

-- One row per unit whose place is known: an effect of it was sent (the ledger), or Centra shows one with its key.
create or replace temp table frozen as
with
sent as (
    select return_item_id, any_value(shipment_line_id) as shipment_line_id
    from push.ledger
    semi join items_in_play using (return_item_id)
    where effect_kind in ('credit_note', 'exchange_order') and not is_foreign
        and state in ('sending', 'unknown', 'confirmed') and shipment_line_id is not null
    group by return_item_id
),

shown as (
    select candidates.return_item_id, min(lines.shipment_line_id) as shipment_line_id
    from (
        select centra_return_id, unnest(effect_keys) as effect_key
        from staging.centra_returns semi join matching.orders_in_play using (order_number)
        where deleted_at is null
    ) as keys
    join (
        select
            return_item_id, unnest([
                effect_key('credit_note', [return_item_id]), effect_key('exchange_order', [return_item_id])
            ]) as effect_key
        from items_in_play
    ) as wanted using (effect_key)
    join staging.centra_return_lines as lines using (centra_return_id)
    join candidates using (return_item_id, order_line_id)
    group by candidates.return_item_id
)

select return_item_id, coalesce(sent.shipment_line_id, shown.shipment_line_id) as shipment_line_id
from sent
full join shown using (return_item_id)
join items_in_play using (return_item_id);

-- One row per line of a Return that somebody else made.
create or replace temp table foreign_lines as
select
    lines.centra_return_id,
    lines.shipment_line_id,
    lines.order_number,
    lines.order_line_id,
    lines.quantity,
    returns.created_at,
    returns.express_codes
from staging.centra_return_lines as lines
join staging.centra_returns as returns using (centra_return_id)
semi join matching.orders_in_play on orders_in_play.order_number = lines.order_number
where returns.deleted_at is null and returns.packet_key is null and len(coalesce(returns.effect_keys, [])) = 0
    and lines.quantity > 0;

-- One row per Return of somebody else that a person has tied: to a unit, or (null) to none.
create or replace temp table return_ties as
select try_cast(centra_id as bigint) as centra_return_id, return_item_id from push.ties where what = 'return'
qualify row_number() over (partition by centra_id, return_item_id order by tied_at desc) = 1;

-- One row per unit: the Return of somebody else that it was adopted for before, or that a person has tied to it. What never
-- came back does not hold one that another unit may be.
create or replace temp table held as
with
told as (
    select return_item_id, centra_return_id::varchar as centra_id
    from return_ties
    semi join items_in_play using (return_item_id)
),

kept as (
    select ledger.return_item_id, ledger.centra_id
    from push.ledger
    semi join items_in_play using (return_item_id)
    semi join foreign_lines on foreign_lines.centra_return_id::varchar = ledger.centra_id
    join claims on claims.return_item_id = ledger.return_item_id
    anti join told on told.return_item_id = ledger.return_item_id
    -- Tied to others, or to none.
    anti join return_ties on return_ties.centra_return_id::varchar = ledger.centra_id
    where ledger.effect_kind = 'credit_note' and ledger.is_foreign and ledger.state = 'confirmed'
        and (claims.strength > 0 or not exists (
            select 1 from foreign_lines as lines
            join candidates using (order_line_id)
            join claims as others using (return_item_id)
            where lines.centra_return_id::varchar = ledger.centra_id and others.strength > 0
        ))
)

from told
union all
from kept;

-- One row per line of a Return of somebody else and unit that it may be for: the unit that it is held by, those of a return that
-- its comment names, or those whose return was started before it was made. Only a person knows which article a unit is that
-- names several.
create or replace temp table wanting as
select
    lines.centra_return_id, lines.shipment_line_id, lines.quantity, lines.created_at as wanted_from,
    items.return_item_id, items.return_created_at, claims.strength,
    coalesce(held.centra_id = lines.centra_return_id::varchar, false) as is_held,
    held.centra_id is not null as is_held_by_any,
    list_has_any(coalesce(lines.express_codes, []), [items.express_code, items.return_id]) as is_named
from foreign_lines as lines
join candidates using (order_line_id)
join items_in_play as items using (return_item_id)
join claims using (return_item_id)
left join held using (return_item_id)
left join ambiguous using (return_item_id)
anti join frozen using (return_item_id)
where
    coalesce(held.centra_id = lines.centra_return_id::varchar, false)
    or (
        ambiguous.return_item_id is null
        and lines.centra_return_id not in (select centra_return_id from return_ties)
        and (
            list_has_any(coalesce(lines.express_codes, []), [items.express_code, items.return_id])
            or items.return_created_at <= lines.created_at
        )
    );

-- One row per unit that gets a piece, out of one row per line of a Return and unit that it may be for. In each round a unit asks
-- for one line: that which is asked for least, then the earlier; the line takes as many as it has pieces left: the stronger claim
-- first, then the unit that has no other choice, then the one of the earlier return. A unit that fits several lines so leaves a
-- piece to one that fits no other. A round fills a line or serves all who asked: there are as many as lines, not as units.
create or replace temp macro given_out(wants) as table
    with recursive rounds as (
        select *, quantity::hugeint as room, false as is_given from query_table(wants)
        union all
        select
            * exclude (room, is_given, pressure, choices, is_asked, turn, gets_it, given, is_served),
            room - given as room,
            gets_it as is_given
        from (
            select
                *, sum(gets_it::bigint) over (partition by centra_return_id, shipment_line_id) as given,
                bool_or(gets_it) over (partition by return_item_id) as is_served
            from (
                select
                    *, row_number() over (
                        partition by centra_return_id, shipment_line_id, is_asked
                        order by strength desc, choices, return_created_at nulls last, return_item_id
                    ) as turn,
                    is_asked and turn <= room as gets_it
                from (
                    select
                        *, count(*) over (partition by return_item_id) as choices,
                        row_number() over (
                            partition by return_item_id
                            order by pressure, wanted_from, centra_return_id, shipment_line_id
                        ) = 1 as is_asked
                    from (
                        select *, count(*) over (partition by centra_return_id, shipment_line_id) - room as pressure
                        from rounds where not is_given
                    )
                )
            )
        )
        where gets_it or (not is_served and room > given)
    )

    select return_item_id, centra_return_id, shipment_line_id from rounds where is_given;

-- First those that were adopted before, then those that are named, then all: what is taken is not there for the next.
create or replace temp table held_pairs as from wanting where is_held;

create or replace temp table adopted_before as from given_out('held_pairs');

create or replace temp table named_pairs as
select wanting.* replace (wanting.quantity - coalesce(taken.pieces, 0) as quantity)
from wanting
anti join adopted_before using (return_item_id)
left join (
    select centra_return_id, shipment_line_id, count(*) as pieces from adopted_before group by all
) as taken using (centra_return_id, shipment_line_id)
where wanting.is_named and not wanting.is_held_by_any and wanting.quantity > coalesce(taken.pieces, 0);

create or replace temp table adopted_by_name as from given_out('named_pairs');

create or replace temp table unnamed_pairs as
select wanting.* replace (wanting.quantity - coalesce(taken.pieces, 0) as quantity)
from wanting
anti join adopted_before using (return_item_id)
anti join adopted_by_name using (return_item_id)
left join (
    select centra_return_id, shipment_line_id, count(*) as pieces
    from (
        from adopted_before
        union all
        from adopted_by_name
    ) group by all
) as taken using (centra_return_id, shipment_line_id)
-- A Return that names another return is not for these.
anti join (select distinct centra_return_id from wanting where is_named) as elsewhere using (centra_return_id)
where not wanting.is_held_by_any and wanting.quantity > coalesce(taken.pieces, 0);

create or replace temp table adopted as
from adopted_before
union all
from adopted_by_name
union all
from given_out('unnamed_pairs');

-- One row per free piece, as many of a line as there may be units: without those that are taken before anybody is placed. What
-- others returned and nobody adopted is gone.
create or replace temp table free_slots as
with
taken as (
    select shipment_line_id, sum(pieces) as pieces from (
        select shipment_line_id, count(*) as pieces from frozen group by all
        union all
        -- Credited here, before Happy Returns corrected which order it is of.
        select shipment_line_id, count(distinct return_item_id)
        from push.ledger
        semi join matching.orders_in_play using (order_number)
        anti join frozen using (return_item_id)
        where effect_kind in ('credit_note', 'exchange_order') and not is_foreign
            and state in ('sending', 'unknown', 'confirmed') and shipment_line_id is not null
        group by all
        union all
        select shipment_line_id, sum(quantity) from foreign_lines group by all
    ) group by shipment_line_id
),

free as (
    select slots.*, coalesce(taken.pieces, 0)::bigint as taken
    from slots
    left join taken using (shipment_line_id)
)

select free.* exclude (quantity, taken), numbers.piece
from free
join most_pieces using (order_number)
cross join range(free.taken + 1, least(free.quantity, free.taken + most_pieces.pieces) + 1) as numbers (piece);

-- ---------------------------------------------------------------- vouchers
-- One row per line of an order with a voucher: what each of its pieces is given of it, by price, in whole cents, and how many of
-- them, the first ones, are given one more (the largest remainders of the order). Both as Centra keeps them, before tax is added
-- or deducted: only there the shares sum to the voucher exactly.
create or replace temp table voucher_shares as
with
lines as (
    select
        orders.order_number, orders.currency, lines.order_line_id, lines.quantity,
        ten_thousandths(orders.discounts) // smallest_unit(orders.currency) as voucher,
        ten_thousandths(lines.unit_price - lines.unit_tax_added) as weight,
        sum(lines.quantity * ten_thousandths(lines.unit_price - lines.unit_tax_added)) over (
            partition by orders.order_number
        )::hugeint as weights
    from staging.orders
    semi join matching.orders_in_play using (order_number)
    join staging.order_lines as lines using (order_number)
    where orders.discounts > 0 and lines.quantity > 0
),

floored as (
    select
        *, voucher * weight // weights as share, voucher * weight % weights as rest
    from lines where weights > 0
),

-- The pieces of a line have one remainder: they come one after the other.
ranked as (
    select
        *, (
            voucher - sum(quantity * share) over (partition by order_number)
            - coalesce(sum(quantity) over (
                partition by order_number order by rest desc, try_cast(order_line_id as bigint), order_line_id
                rows between unbounded preceding and 1 preceding
            ), 0)
        )::hugeint as left_over
    from floored
)

select
    order_line_id, quantity, greatest(least(left_over, quantity), 0) as pieces_with_more,
    (share * smallest_unit(currency))::decimal(38, 0) * 0.0001::decimal(5, 4) as voucher_share,
    ((share + 1) * smallest_unit(currency))::decimal(38, 0) * 0.0001::decimal(5, 4) as larger_share
from ranked;

-- ---------------------------------------------------------------- places
-- Units that still look for a place. Where an order has one article on several lines, units that name their line are placed first.
create or replace temp table seekers as
with
lines_of_article as (
    select order_number, article, count(distinct order_line_id) as lines from slots group by all
)

select
    candidates.return_item_id, candidates.order_line_id, articles.order_number, articles.article,
    claims.strength, claims.return_created_at,
    candidates.matched_by = 'line_id' and lines_of_article.lines > 1
    and count(*) over (partition by candidates.return_item_id) = 1 as names_its_line
from candidates
join claims using (return_item_id)
join (select distinct order_number, order_line_id, article from slots) as articles using (order_line_id)
join
    lines_of_article
    on lines_of_article.order_number = articles.order_number and lines_of_article.article = articles.article
anti join frozen on frozen.return_item_id = candidates.return_item_id
anti join adopted on adopted.return_item_id = candidates.return_item_id
anti join ambiguous on ambiguous.return_item_id = candidates.return_item_id;

-- As a person has said last.
create or replace temp table placed_by_tie as
select units.return_item_id, places.shipment_line_id, places.piece
from (
    select
        ties.return_item_id, try_cast(ties.centra_id as bigint) as shipment_line_id,
        row_number() over (partition by shipment_line_id order by ties.tied_at, ties.return_item_id) as place
    from (
        from push.ties where what = 'line'
        qualify row_number() over (partition by return_item_id order by tied_at desc, tie_id) = 1
    ) as ties
    semi join items_in_play using (return_item_id)
    anti join frozen using (return_item_id)
    anti join adopted using (return_item_id)
) as units
join (
    select *, row_number() over (partition by shipment_line_id order by piece) as place from free_slots
) as places using (shipment_line_id, place);

-- A unit that names its line, and of which something has happened, takes a piece of it first: the one of which more has
-- happened, then the one of the earlier return.
create or replace temp table placed_by_line as
select units.return_item_id, places.shipment_line_id, places.piece
from (
    select
        return_item_id, order_line_id,
        row_number() over (
            partition by order_line_id order by strength desc, return_created_at nulls last, return_item_id
        ) as place
    from seekers
    anti join placed_by_tie using (return_item_id)
    where names_its_line and strength > 0
) as units
join (
    select *, row_number() over (partition by order_line_id order by shipped_at, shipment_id, piece) as place
    from free_slots
    anti join placed_by_tie using (shipment_line_id, piece)
) as places using (order_line_id, place);

-- One row per shipped line: what a piece of it cost the customer, to a cent where the voucher's shares of its pieces differ.
create or replace temp table paid_of_lines as
select
    slots.shipment_line_id,
    slots.unit_price - coalesce(shares.voucher_share, 0) - added_to_part(
        slots.unit_tax_added, coalesce(shares.voucher_share, 0), slots.unit_price - slots.unit_tax_added, slots.currency
    ) as paid
from slots
left join (
    select order_line_id, case when pieces_with_more > 0 then larger_share else voucher_share end as voucher_share
    from voucher_shares
) as shares using (order_line_id);

-- One row per piece that is left for units that name an article.
create or replace temp table open_slots as
select free_slots.*, paid_of_lines.paid
from free_slots
join paid_of_lines using (shipment_line_id)
anti join placed_by_tie using (shipment_line_id, piece)
anti join placed_by_line using (shipment_line_id, piece);

create or replace temp table open_units as
select return_item_id, order_number, article, max(strength) as strength, min(return_created_at) as return_created_at
from seekers
anti join placed_by_tie using (return_item_id)
where not names_its_line and strength > 0
group by return_item_id, order_number, article;

-- One row per unit of an article with several prices, and the price that its refund row tells: what the row gives for its items,
-- less those of its other units whose price is known, is as much as pieces of that price cost.
create or replace temp table told_prices as
with
of_several_prices as (
    select open_units.return_item_id, order_number, article
    from open_units
    join (
        select order_number, article from open_slots group by all having count(distinct unit_price) > 1
    ) as several using (order_number, article)
),

rows_of_units as (
    select return_item_id, refund_id, currency, told_for_items as told
    from paid_units
    semi join items_in_play using (return_item_id)
    where refund_id is not null
),

-- One row per unit whose place, or at least its price, is known.
known as (
    select open_units.return_item_id, any_value(open_slots.paid) as paid
    from open_units
    join open_slots using (order_number, article)
    anti join of_several_prices using (return_item_id)
    group by open_units.return_item_id
    union all
    select places.return_item_id, lines.paid
    from (
        select return_item_id, shipment_line_id from frozen
        union all
        select return_item_id, shipment_line_id from adopted
        union all
        select return_item_id, shipment_line_id from placed_by_tie
        union all
        select return_item_id, shipment_line_id from placed_by_line
    ) as places
    join paid_of_lines as lines using (shipment_line_id)
),

left_of_rows as (
    select
        rows_of_units.refund_id, any_value(rows_of_units.currency) as currency, any_value(told) as told,
        any_value(told) - coalesce(sum(known.paid), 0) as amount,
        count(of_several_prices.return_item_id) as units,
        count(*) as all_units
    from rows_of_units
    left join known on known.return_item_id = rows_of_units.return_item_id
    left join of_several_prices on of_several_prices.return_item_id = rows_of_units.return_item_id
    group by rows_of_units.refund_id
    having count(of_several_prices.return_item_id) > 0
        and count(of_several_prices.return_item_id) + count(known.return_item_id) = count(*)
),

fitting as (
    select
        units.return_item_id,
        open_slots.unit_price,
        min(abs(rows_left.units * open_slots.paid - rows_left.amount)) as off
    from of_several_prices as units
    join rows_of_units using (return_item_id)
    join left_of_rows as rows_left using (refund_id)
    join open_slots
        on open_slots.order_number = units.order_number and open_slots.article = units.article
            and open_slots.currency = rows_left.currency
    join staging.orders as orders on orders.order_number = units.order_number
    left join policy.tolerance on tolerance.currency = rows_left.currency
    where abs(rows_left.units * open_slots.paid - rows_left.amount) <= greatest(
            rows_left.all_units * smallest_amount(rows_left.currency),
            coalesce(tolerance.absolute, 0),
            coalesce(share_of(rows_left.told, tolerance.percent, 100::decimal(18, 4), rows_left.currency), 0),
            coalesce(rows_left.units * policy.tax_slack(orders.tax_mode, open_slots.unit_tax, rows_left.currency), 0)
        )
    group by units.return_item_id, open_slots.unit_price
)

select return_item_id, any_value(unit_price) as unit_price
from (from fitting qualify rank() over (partition by return_item_id order by off) = 1)
group by return_item_id having count(*) = 1;

create or replace temp table placed_by_price as
select units.return_item_id, places.shipment_line_id, places.piece
from (
    select
        return_item_id, order_number, article, unit_price,
        row_number() over (
            partition by order_number, article, unit_price
            order by strength desc, return_created_at nulls last, return_item_id
        ) as place
    from open_units join told_prices using (return_item_id)
) as units
join (
    select
        *, row_number() over (
            partition by order_number, article, unit_price
            order by is_part, shipped_at, shipment_id, shipment_line_id, piece
        ) as place
    from open_slots
) as places using (order_number, article, unit_price, place);

-- Where several prices are left and nothing tells which one a unit cost, a person does: until then its place is but a guess.
-- When all that is left comes back in one return, they are the same together, whichever is which.
create or replace temp table placed_by_article as
with
units as (
    select open_units.*, items.return_id, items.refund_type, items.approved_at
    from open_units
    anti join placed_by_price using (return_item_id)
    join items_in_play as items using (return_item_id)
),

pieces as (
    from open_slots anti join placed_by_price using (shipment_line_id, piece)
),

unclear as (
    select order_number, article
    from (
        select
            order_number, article, count(*) as pieces,
            -- What was sold alone comes before the same article in a bundle.
            coalesce(nullif(count(distinct unit_price) filter (where not is_part), 0), count(distinct unit_price))
                as prices
        from pieces group by all
    )
    join (
        select
            order_number, article, count(distinct(return_id, refund_type)) as returns, count(approved_at) as approved
        from units group by all
    ) using (order_number, article)
    where prices > 1 and not (returns = 1 and approved >= pieces)
)

select
    units.return_item_id, places.shipment_line_id, places.piece,
    unclear.article is not null as is_price_unclear
from (
    select
        *, row_number() over (
            partition by order_number, article order by strength desc, return_created_at nulls last, return_item_id
        ) as place
    from units
) as units
join (
    select
        *, row_number() over (
            partition by order_number, article order by is_part, shipped_at, shipment_id, shipment_line_id, piece
        ) as place
    from pieces
) as places using (order_number, article, place)
left join unclear using (order_number, article);

-- What nobody else claims may still be what never came, or was refused.
create or replace temp table placed_without_claim as
with
pieces as (
    from open_slots
    anti join placed_by_price using (shipment_line_id, piece)
    anti join placed_by_article using (shipment_line_id, piece)
),

units as (
    from seekers
    anti join placed_by_tie using (return_item_id)
    where strength = 0
),

by_line as (
    select of_line.return_item_id, places.shipment_line_id, places.piece
    from (
        select
            return_item_id, order_line_id,
            row_number()
                over (partition by order_line_id order by return_created_at nulls last, return_item_id)
                as place
        from units where names_its_line
    ) as of_line
    join (
        select *, row_number() over (partition by order_line_id order by shipped_at, shipment_id, piece) as place
        from pieces
    ) as places using (order_line_id, place)
)

from by_line
union all
select of_article.return_item_id, places.shipment_line_id, places.piece
from (
    select
        return_item_id, order_number, article,
        row_number() over (
            partition by order_number, article order by min(return_created_at) nulls last, return_item_id
        ) as place
    from units where not names_its_line
    group by return_item_id, order_number, article
) as of_article
join (
    select
        *, row_number() over (
            partition by order_number, article order by is_part, shipped_at, shipment_id, shipment_line_id, piece
        ) as place
    from pieces anti join by_line using (shipment_line_id, piece)
) as places using (order_number, article, place);

create or replace temp table placed_here as
select return_item_id, shipment_line_id, 'tied' as matched_by, false as is_price_unclear from placed_by_tie
union all by name
select return_item_id, shipment_line_id, 'line_id' as matched_by, false as is_price_unclear from placed_by_line
union all by name
select places.return_item_id, shipment_line_id, ways.matched_by, coalesce(is_price_unclear, false) as is_price_unclear
from (
    select return_item_id, shipment_line_id, false as is_price_unclear from placed_by_price
    union all
    select return_item_id, shipment_line_id, is_price_unclear from placed_by_article
    union all
    select return_item_id, shipment_line_id, false from placed_without_claim
) as places
join
    (select return_item_id, any_value(matched_by) as matched_by from candidates group by all) as ways
    using (return_item_id);

-- ---------------------------------------------------------------- Returns of others that no unit has yet
-- One row per line of one with pieces left, made before a return was started or named by none; not those of a return that is
-- known, nor those about which a person has decided.
create or replace temp table open_lines as
select lines.* replace (lines.quantity - coalesce(gone.pieces, 0) as quantity)
from foreign_lines as lines
semi join slots using (order_line_id)
left join (
    select centra_return_id, shipment_line_id, count(*) as pieces from adopted group by all
) as gone using (centra_return_id, shipment_line_id)
anti join return_ties using (centra_return_id)
anti join (
    select distinct lines.centra_return_id
    from foreign_lines as lines
    join items_in_play as items on items.order_number = lines.order_number
        and list_has_any(lines.express_codes, [items.express_code, items.return_id])
) as of_known_returns using (centra_return_id)
where lines.quantity > coalesce(gone.pieces, 0);

-- A unit for which no piece is left can only be one of those, whenever the Return was made: the latest first.
create or replace temp table pairs_at_last as
select
    lines.centra_return_id, lines.shipment_line_id, lines.quantity, -epoch_us(lines.created_at) as wanted_from,
    seekers.return_item_id, seekers.return_created_at, seekers.strength
from open_lines as lines
join seekers using (order_line_id)
anti join placed_here using (return_item_id);

create or replace temp table adopted_at_last as from given_out('pairs_at_last');

-- One row per unit that may have been given back on somebody's Return all the same: it has a piece of its own and nothing was
-- given for it yet, or its credit or replacement is half done.
create or replace temp table not_given_yet as
select return_item_id from placed_here
union all
select return_item_id from frozen
anti join (
    select return_item_id
    from push.ledger
    where effect_kind in ('credit_note', 'exchange_order') and state = 'confirmed'
) as given using (return_item_id);

-- One row per such unit: the earliest Return that it may be on.
create or replace temp table may_be_returned as
select not_given_yet.return_item_id, min(lines.centra_return_id) as centra_return_id
from not_given_yet
join claims using (return_item_id)
join candidates using (return_item_id)
join open_lines as lines on lines.order_line_id = candidates.order_line_id
left join (
    select centra_return_id, shipment_line_id, count(*) as pieces from adopted_at_last group by all
) as gone on gone.centra_return_id = lines.centra_return_id and gone.shipment_line_id = lines.shipment_line_id
where claims.strength > 0 and len(coalesce(lines.express_codes, [])) = 0 and lines.quantity > coalesce(gone.pieces, 0)
group by not_given_yet.return_item_id;

-- One row per unit that has a place.
create or replace temp table placed as
select
    frozen.return_item_id, frozen.shipment_line_id, 'frozen' as matched_by,
    -- Half done by us, and given back by hand as a person says: what is left of ours is not due any more.
    case when not_given_yet.return_item_id is not null then ties.centra_return_id end as foreign_centra_return_id,
    false as is_price_unclear
from frozen
left join not_given_yet using (return_item_id)
left join (
    select return_item_id, max(centra_return_id) as centra_return_id from return_ties
    semi join foreign_lines using (centra_return_id)
    group by return_item_id
) as ties on ties.return_item_id = frozen.return_item_id
union all by name
select adopted.return_item_id, adopted.shipment_line_id, ways.matched_by, centra_return_id as foreign_centra_return_id
from (
    select return_item_id, shipment_line_id, centra_return_id from adopted
    union all
    select return_item_id, shipment_line_id, centra_return_id from adopted_at_last
) as adopted
join
    (select return_item_id, any_value(matched_by) as matched_by from candidates group by all) as ways
    using (return_item_id)
union all by name
from placed_here;

-- One row per unit whose effect was sent for another article, or for one of another price, than Happy Returns names now.
create or replace temp table corrected as
select frozen.return_item_id
from frozen
join staging.shipment_lines using (shipment_line_id)
join staging.order_lines as lines using (order_line_id)
where not exists (
        select 1 from candidates
        join staging.order_lines as named on named.order_line_id = candidates.order_line_id
        where candidates.return_item_id = frozen.return_item_id and (
                named.order_line_id = lines.order_line_id
                or (
                    named.order_number = lines.order_number
                    and named.sku = lines.sku
                    and named.unit_price = lines.unit_price
                )
            )
    );

-- ---------------------------------------------------------------- the result
delete from matching.matched_items where return_item_id in (select return_item_id from items_in_play);
insert into matching.matched_items by name
with
-- One row per matched unit, with which piece of its order line it is.
matched as (
    select
        placed.return_item_id,
        placed.shipment_line_id,
        placed.matched_by,
        placed.foreign_centra_return_id,
        placed.is_price_unclear,
        shipment_lines.shipment_id, shipment_lines.order_line_id, shipment_lines.currency, shipment_lines.unit_price,
        shipment_lines.unit_tax, shipment_lines.unit_tax_added,
        coalesce(items.unit_offset, row_number() over (
            partition by shipment_lines.order_line_id order by items.return_item_id
        ) - 1) as piece,
        shipment_lines.bundle_line_id,
        shipment_lines.per_bundle,
        shipment_lines.bundle_share,
        shipment_lines.bundle_tax,
        shipment_lines.bundle_tax_added,
        -- Which of the line's pieces it is: what was given back already first, then what is on its way to be.
        row_number() over (
            partition by placed.shipment_line_id
            order by
                placed.matched_by <> 'frozen' and placed.foreign_centra_return_id is null, items.approved_at is null,
                items.return_created_at nulls last, items.return_item_id
        ) - 1 as place_in_line
    from placed
    join staging.shipment_lines using (shipment_line_id)
    join items_in_play as items on items.return_item_id = placed.return_item_id
),

-- One row per matched unit with what it cost. Pieces of one article in one bundle share what all of them are of its price.
priced as (
    select
        * replace (
            case
                when per_bundle > 1 then part_of(bundle_share, in_bundle, in_bundle + 1, per_bundle, currency) else
                    unit_price
            end
                as unit_price,
            case
                when per_bundle > 1 then part_of(bundle_tax, in_bundle, in_bundle + 1, per_bundle, currency) else
                    unit_tax
            end as unit_tax,
            case when per_bundle > 1 then part_of(bundle_tax_added, in_bundle, in_bundle + 1, per_bundle, currency)
                else unit_tax_added
            end as unit_tax_added
        ),
        bundle_line_id || '/' || shipment_id || '/' || (place_in_line // per_bundle + 1) as bundle
    from (select *, place_in_line % per_bundle as in_bundle from matched)
),

-- One row per matched unit with its share of the voucher, as Centra keeps it, and the tax that is added to that.
shared as (
    select
        matched.*,
        coalesce(
            case when matched.piece < shares.pieces_with_more then shares.larger_share else shares.voucher_share end, 0
        )::decimal(18, 4) as voucher_kept,
        added_to_part(unit_tax_added, voucher_kept, unit_price - unit_tax_added, currency) as voucher_tax_added
    from priced as matched
    left join voucher_shares as shares
        on shares.order_line_id = matched.order_line_id and matched.piece between 0 and shares.quantity - 1
),

absent as (
    select distinct order_number from landing.centra_absent_orders
    anti join staging.orders using (order_number)
),

-- Units that name a bundle, or are on an order with one whose parts are not known.
of_bundles as (
    select distinct items.return_item_id
    from items_in_play as items
    join staging.bundles as bundles on bundles.order_number = items.order_number
    where not bundles.is_known or bundles.bundle_line_id = items.base_line_item_id or bundles.sku = items.sku
),

-- One row per unit: what its order lines are like, for those that have no place.
looked as (
    select
        candidates.return_item_id,
        bool_or(lines.is_product) as has_product_line,
        bool_or(slots.order_line_id is not null) as was_shipped,
        min(lines.sku) as sku,
        max(lines.unit_price) filter (where slots.order_line_id is not null) as unit_price
    from candidates
    join staging.order_lines as lines using (order_line_id)
    left join (select distinct order_line_id from slots) as slots using (order_line_id)
    group by candidates.return_item_id
)

select
    items.return_item_id,
    items.return_id,
    items.order_number,
    matched.order_line_id,
    matched.shipment_id,
    matched.shipment_line_id,
    matched.matched_by,
    case
        when matched.shipment_line_id is not null then null
        when absent.order_number is not null then 'no_such_order'
        when orders.order_number is null then 'order_not_read_yet'
        when looked.return_item_id is null and items.base_line_item_id is null and items.sku is null
            and items.upc is null and items.label_barcode is null then 'no_key'
        when looked.return_item_id is null and of_bundles.return_item_id is not null then 'bundle_line'
        when looked.return_item_id is null then 'article_not_on_order'
        when not looked.has_product_line then 'bundle_line'
        when ambiguous.return_item_id is not null then 'ambiguous_article'
        when not looked.was_shipped then 'nothing_shipped'
        when claims.strength = 0 then case when claims.never_came then 'goods_never_came' else 'refused' end
        else 'more_units_than_shipped'
    end as reason,
    coalesce(lines.sku, items.sku) as sku,
    coalesce(matched.currency, orders.currency) as currency,
    -- Of a surplus unit: what its line cost.
    coalesce(matched.unit_price, case when ambiguous.return_item_id is null then looked.unit_price end) as unit_price,
    matched.unit_tax,
    matched.unit_tax_added,
    orders.tax_mode,
    (matched.voucher_kept + matched.voucher_tax_added)::decimal(18, 4) as voucher_share,
    voucher_tax_of(
        orders.tax_mode, matched.voucher_kept, matched.voucher_tax_added, lines.tax_percent, matched.currency
    ) as voucher_tax,
    matched.voucher_tax_added,
    matched.foreign_centra_return_id,
    case
        when may_be_returned.centra_return_id is not null then 'foreign_return'
        when matched.is_price_unclear then 'several_prices'
    end as doubt,
    may_be_returned.centra_return_id as doubtful_return_id,
    coalesce(claims.strength > 0, false) as has_claim,
    corrected.return_item_id is not null as is_corrected,
    case when corrected.return_item_id is null then coalesce(lines.sku, looked.sku) else looked.sku end as present_sku,
    matched.bundle,
    matched.bundle_line_id
from items_in_play as items
join claims on claims.return_item_id = items.return_item_id
left join may_be_returned on may_be_returned.return_item_id = items.return_item_id
left join corrected on corrected.return_item_id = items.return_item_id
left join shared as matched on matched.return_item_id = items.return_item_id
left join staging.orders as orders on orders.order_number = items.order_number
left join absent on absent.order_number = items.order_number
left join looked on looked.return_item_id = items.return_item_id
left join of_bundles on of_bundles.return_item_id = items.return_item_id
left join ambiguous on ambiguous.return_item_id = items.return_item_id
left join staging.order_lines as lines on lines.order_line_id = matched.order_line_id;
