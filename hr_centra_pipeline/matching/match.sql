-- Every unit finds its place among the shipped pieces of its order: each piece is a slot, each slot is taken once. Only the
-- orders in play are looked at, each with all of its units; what is settled keeps its place.
create or replace temp table items_in_play as
from staging.return_items semi join matching.orders_in_play using (order_number);

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
    join staging.order_lines as lines on lines.order_number = items.order_number and lines.bundle_line_id = items.base_line_item_id
        and (lines.sku = items.sku or lines.ean in (items.upc, items.sku, items.label_barcode)
            or lines.upc in (items.upc, items.sku, items.label_barcode))
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

-- One row per shipped piece. Of a bundle the parts are shipped.
create or replace temp table slots as
select
    shipment_lines.shipment_line_id,
    shipment_lines.shipment_id,
    lines.order_number,
    lines.order_line_id,
    coalesce(lines.sku, lines.order_line_id) as article,
    shipments.shipped_at,
    lines.bundle_line_id is not null as is_part,
    numbers.piece
from staging.shipment_lines
join staging.shipments using (shipment_id)
join staging.order_lines as lines on lines.order_line_id = shipment_lines.order_line_id
semi join matching.orders_in_play on orders_in_play.order_number = lines.order_number
cross join range(1, shipment_lines.quantity + 1) as numbers(piece)
where shipments.is_shipped and lines.is_product;

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
        select return_item_id, unnest([
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

-- One row per line of a Return that somebody else made, with the units that it may be for, those that it names first.
create or replace temp table foreign_pieces as
select
    lines.centra_return_id, lines.shipment_line_id, lines.order_line_id, returns.created_at, returns.express_codes,
    numbers.piece
from staging.centra_return_lines as lines
join staging.centra_returns as returns using (centra_return_id)
semi join matching.orders_in_play on orders_in_play.order_number = lines.order_number
cross join range(1, lines.quantity + 1) as numbers(piece)
where returns.deleted_at is null and returns.packet_key is null and len(coalesce(returns.effect_keys, [])) = 0;

-- One row per piece on a Return of somebody else and unit that it may be for: the unit that it was adopted for before (held),
-- those of a return that its comment names, or those whose return was started before it was made.
create or replace temp table wanting as
select
    pieces.centra_return_id, pieces.shipment_line_id, pieces.piece, pieces.order_line_id, pieces.created_at,
    items.return_item_id, items.return_id, items.return_created_at,
    coalesce(held.centra_id = pieces.centra_return_id::varchar, false) as is_held,
    held.centra_id is not null as is_held_by_any,
    list_has_any(coalesce(pieces.express_codes, []), [items.express_code, items.return_id]) as is_named
from foreign_pieces as pieces
join candidates using (order_line_id)
join items_in_play as items using (return_item_id)
left join (
    select ledger.return_item_id, ledger.centra_id
    from push.ledger
    semi join items_in_play using (return_item_id)
    semi join foreign_pieces on foreign_pieces.centra_return_id::varchar = ledger.centra_id
    where ledger.effect_kind = 'credit_note' and ledger.is_foreign and ledger.state = 'confirmed'
) as held using (return_item_id)
anti join frozen using (return_item_id)
where
    coalesce(held.centra_id = pieces.centra_return_id::varchar, false)
    or list_has_any(coalesce(pieces.express_codes, []), [items.express_code, items.return_id])
    or items.return_created_at <= pieces.created_at;

-- Each piece goes to one unit, each unit gets one piece: first those that were adopted before, then those that are named,
-- then the earlier return by the earlier Return. One step each, since what is taken is not there for the next.
create or replace temp table adopted_before as
select units.return_item_id, pieces.centra_return_id, pieces.shipment_line_id, pieces.piece
from (
    select distinct return_item_id, centra_return_id, order_line_id,
        dense_rank() over (partition by centra_return_id, order_line_id order by return_item_id) as place
    from wanting where is_held
) as units
join (
    select distinct centra_return_id, order_line_id, shipment_line_id, piece,
        dense_rank() over (partition by centra_return_id, order_line_id order by shipment_line_id, piece) as place
    from wanting where is_held
) as pieces using (centra_return_id, order_line_id, place)
qualify row_number() over (partition by units.return_item_id order by pieces.shipment_line_id, pieces.piece) = 1;

create or replace temp table adopted_by_name as
with
open_pairs as (
    select wanting.* from wanting
    anti join adopted_before on adopted_before.return_item_id = wanting.return_item_id
    anti join adopted_before as taken on taken.centra_return_id = wanting.centra_return_id
        and taken.shipment_line_id = wanting.shipment_line_id and taken.piece = wanting.piece
    where wanting.is_named and not wanting.is_held_by_any
)

select units.return_item_id, pieces.centra_return_id, pieces.shipment_line_id, pieces.piece
from (
    select distinct order_line_id, return_id, return_item_id,
        dense_rank() over (partition by order_line_id, return_id order by return_item_id) as place
    from open_pairs
) as units
join (
    select distinct order_line_id, return_id, centra_return_id, shipment_line_id, piece,
        dense_rank() over (
            partition by order_line_id, return_id order by created_at, centra_return_id, shipment_line_id, piece
        ) as place
    from open_pairs
) as pieces using (order_line_id, return_id, place)
qualify row_number() over (
    partition by pieces.centra_return_id, pieces.shipment_line_id, pieces.piece order by units.return_item_id
) = 1 and row_number() over (
    partition by units.return_item_id order by pieces.centra_return_id, pieces.shipment_line_id, pieces.piece
) = 1;

create or replace temp table adopted as
with
open_pairs as (
    select wanting.* from wanting
    anti join adopted_before on adopted_before.return_item_id = wanting.return_item_id
    anti join adopted_by_name as named on named.return_item_id = wanting.return_item_id
    anti join adopted_before as taken on taken.centra_return_id = wanting.centra_return_id
        and taken.shipment_line_id = wanting.shipment_line_id and taken.piece = wanting.piece
    anti join adopted_by_name as taken_by_name on taken_by_name.centra_return_id = wanting.centra_return_id
        and taken_by_name.shipment_line_id = wanting.shipment_line_id and taken_by_name.piece = wanting.piece
    -- A piece that names another return is not for these.
    anti join (select distinct centra_return_id, return_id as other_return from wanting where is_named) as elsewhere
        on elsewhere.centra_return_id = wanting.centra_return_id
    where not wanting.is_held_by_any
),

unnamed as (
    select units.return_item_id, pieces.centra_return_id, pieces.shipment_line_id, pieces.piece
    from (
        select distinct order_line_id, return_item_id, return_created_at,
            dense_rank() over (partition by order_line_id order by return_created_at, return_item_id) as place
        from open_pairs
    ) as units
    join (
        select distinct order_line_id, centra_return_id, shipment_line_id, piece, created_at,
            dense_rank() over (
                partition by order_line_id order by created_at, centra_return_id, shipment_line_id, piece
            ) as place
        from open_pairs
    ) as pieces using (order_line_id, place)
    where units.return_created_at <= pieces.created_at
    qualify row_number() over (
        partition by units.return_item_id order by pieces.centra_return_id, pieces.shipment_line_id, pieces.piece
    ) = 1
)

select return_item_id, centra_return_id, shipment_line_id from adopted_before
union all
select return_item_id, centra_return_id, shipment_line_id from adopted_by_name
union all
select return_item_id, centra_return_id, shipment_line_id from unnamed;

-- One row per shipment line: pieces that are taken before anybody is placed. What others returned and nobody adopted is gone.
create or replace temp table free_slots as
with
taken as (
    select shipment_line_id, sum(pieces) as pieces from (
        select shipment_line_id, count(*) as pieces from frozen group by all
        union all
        select shipment_line_id, count(*) from foreign_pieces group by all
    ) group by shipment_line_id
)

select slots.*
from slots
left join taken using (shipment_line_id)
where slots.piece > coalesce(taken.pieces, 0);

-- Units that still look for a place, the earlier return first. Where an order has one article on several lines, units that
-- name their line are placed first.
create or replace temp table seekers as
with
lines_of_article as (
    select order_number, article, count(distinct order_line_id) as lines from slots group by all
)

select
    candidates.return_item_id, candidates.matched_by, candidates.order_line_id, articles.order_number, articles.article,
    items.return_created_at,
    candidates.matched_by = 'line_id' and lines_of_article.lines > 1 as names_its_line
from candidates
join items_in_play as items using (return_item_id)
join (select distinct order_number, order_line_id, article from slots) as articles using (order_line_id)
join lines_of_article on lines_of_article.order_number = articles.order_number and lines_of_article.article = articles.article
anti join frozen on frozen.return_item_id = candidates.return_item_id
anti join adopted on adopted.return_item_id = candidates.return_item_id;

create or replace temp table placed_by_line as
select units.return_item_id, places.shipment_line_id, places.piece
from (
    select return_item_id, order_line_id,
        row_number() over (partition by order_line_id order by return_created_at nulls last, return_item_id) as place
    from seekers where names_its_line
) as units
join (
    select *, row_number() over (partition by order_line_id order by shipped_at, shipment_id, piece) as place from free_slots
) as places using (order_line_id, place);

create or replace temp table placed_by_article as
select units.return_item_id, places.shipment_line_id
from (
    select return_item_id, order_number, article,
        row_number() over (
            partition by order_number, article order by min(return_created_at) nulls last, return_item_id
        ) as place
    from seekers where not names_its_line
    group by return_item_id, order_number, article
) as units
join (
    -- What was sold alone comes before the same article in a bundle.
    select *, row_number() over (
        partition by order_number, article order by is_part, shipped_at, shipment_id, shipment_line_id, piece
    ) as place
    from free_slots
    anti join placed_by_line using (shipment_line_id, piece)
) as places using (order_number, article, place);

-- One row per unit that has a place.
create or replace temp table placed as
select return_item_id, shipment_line_id, 'frozen' as matched_by, cast(null as bigint) as foreign_centra_return_id from frozen
union all by name
select adopted.return_item_id, adopted.shipment_line_id, ways.matched_by, centra_return_id as foreign_centra_return_id
from adopted
join (select return_item_id, any_value(matched_by) as matched_by from candidates group by all) as ways using (return_item_id)
union all by name
select return_item_id, shipment_line_id, 'line_id' as matched_by from placed_by_line
union all by name
select placed_by_article.return_item_id, shipment_line_id, ways.matched_by
from placed_by_article
join (select return_item_id, any_value(matched_by) as matched_by from candidates group by all) as ways using (return_item_id);

-- ---------------------------------------------------------------- vouchers
-- One row per piece of an order with a voucher: its share, by price, whole cents, the largest remainders first. Both as Centra
-- keeps them, before tax is added or deducted: only there the shares sum to the voucher exactly.
create or replace temp table voucher_shares as
with
pieces as (
    select
        orders.order_number, orders.currency, lines.order_line_id, numbers.piece - 1 as piece,
        ten_thousandths(orders.discounts) // smallest_unit(orders.currency) as voucher,
        ten_thousandths(lines.unit_price - lines.unit_tax_added) as weight,
        sum(ten_thousandths(lines.unit_price - lines.unit_tax_added)) over (partition by orders.order_number) as weights
    from staging.orders
    semi join matching.orders_in_play using (order_number)
    join staging.order_lines as lines using (order_number)
    cross join range(1, lines.quantity + 1) as numbers(piece)
    where orders.discounts > 0 and lines.quantity > 0
),

floored as (
    select
        *, voucher * weight // weights as share, voucher * weight % weights as rest
    from pieces where weights > 0
)

select
    order_line_id, piece,
    (
        (
            share + case when row_number() over (
                partition by order_number order by rest desc, try_cast(order_line_id as bigint), order_line_id, piece
            ) <= voucher - sum(share) over (partition by order_number) then 1 else 0 end
        ) * smallest_unit(currency)
    )::decimal(38, 0) * 0.0001::decimal(5, 4) as voucher_share
from floored;

-- ---------------------------------------------------------------- the result
delete from matching.matched_items where return_item_id in (select return_item_id from items_in_play);
insert into matching.matched_items by name
with
-- One row per matched unit, with which piece of its order line it is.
matched as (
    select
        placed.return_item_id, placed.shipment_line_id, placed.matched_by, placed.foreign_centra_return_id,
        shipment_lines.shipment_id, shipment_lines.order_line_id, shipment_lines.currency, shipment_lines.unit_price,
        shipment_lines.unit_tax, shipment_lines.unit_tax_added,
        coalesce(items.unit_offset, row_number() over (
            partition by shipment_lines.order_line_id order by items.return_item_id
        ) - 1) as piece,
        shipment_lines.bundle_line_id, shipment_lines.per_bundle, shipment_lines.bundle_share, shipment_lines.bundle_tax,
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
            case when per_bundle > 1 then part_of(bundle_share, in_bundle, in_bundle + 1, per_bundle, currency) else unit_price end
                as unit_price,
            case when per_bundle > 1 then part_of(bundle_tax, in_bundle, in_bundle + 1, per_bundle, currency) else unit_tax end as unit_tax,
            case when per_bundle > 1 then part_of(bundle_tax_added, in_bundle, in_bundle + 1, per_bundle, currency)
                else unit_tax_added end as unit_tax_added
        ),
        bundle_line_id || '/' || (place_in_line // per_bundle + 1) as bundle
    from (select *, place_in_line % per_bundle as in_bundle from matched)
),

-- One row per matched unit with its share of the voucher, as Centra keeps it, and the tax that is added to that.
shared as (
    select
        matched.*, coalesce(shares.voucher_share, 0)::decimal(18, 4) as voucher_kept,
        added_to_part(unit_tax_added, voucher_kept, unit_price - unit_tax_added, currency) as voucher_tax_added
    from priced as matched
    left join voucher_shares as shares on shares.order_line_id = matched.order_line_id and shares.piece = matched.piece
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
        when not looked.was_shipped then 'nothing_shipped'
        else 'more_units_than_shipped'
    end as reason,
    coalesce(lines.sku, items.sku) as sku,
    coalesce(matched.currency, orders.currency) as currency,
    coalesce(matched.unit_price, looked.unit_price) as unit_price, -- of a surplus unit: what its line cost
    matched.unit_tax,
    matched.unit_tax_added,
    orders.tax_mode,
    (matched.voucher_kept + matched.voucher_tax_added)::decimal(18, 4) as voucher_share,
    voucher_tax_of(
        orders.tax_mode, matched.voucher_kept, matched.voucher_tax_added, lines.tax_percent, matched.currency
    ) as voucher_tax,
    matched.voucher_tax_added,
    matched.foreign_centra_return_id,
    matched.bundle
from items_in_play as items
left join shared as matched on matched.return_item_id = items.return_item_id
left join staging.orders as orders on orders.order_number = items.order_number
left join absent on absent.order_number = items.order_number
left join looked on looked.return_item_id = items.return_item_id
left join of_bundles on of_bundles.return_item_id = items.return_item_id
left join staging.order_lines as lines on lines.order_line_id = matched.order_line_id;
