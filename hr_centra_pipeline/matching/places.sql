-- makes: places_here
-- kind:  step
-- grain: one row per unit that found a piece of its own: by a tie, its line, its price, its article, or as what is
--        left

-- Units that name an article only take the pieces that are left: by the price that their refund row reports, then in the order of
-- their claims.

create or replace temp table places_by_price as
select units.return_item_id, places.shipment_line_id, places.piece
from (
    select
        return_item_id, order_number, article, unit_price,
        row_number() over (
            partition by order_number, article, unit_price
            order by strength desc, return_created_at nulls last, return_item_id
        ) as place
    from open_units join reported_prices using (return_item_id)
) as units
join (
    select
        *, row_number() over (
            partition by order_number, article, unit_price
            order by is_part, shipped_at, shipment_id, shipment_line_id, piece
        ) as place
    from open_pieces
) as places using (order_number, article, unit_price, place);

-- Where several prices are left and nothing shows which one a unit cost, a person does: until then its place is but a guess.
-- When all that is left comes back in one return, they are the same together, whichever is which.
create or replace temp table places_by_article as
with
units as (
    select open_units.*, items.return_id, items.refund_type, items.approved_at
    from open_units
    anti join places_by_price using (return_item_id)
    join items_in_play as items using (return_item_id)
),

pieces as (
    from open_pieces anti join places_by_price using (shipment_line_id, piece)
),

unclear_articles as (
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
    unclear_articles.article is not null as is_price_unclear
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
left join unclear_articles using (order_number, article);

-- What nobody else claims may still be what never came, or was refused.
create or replace temp table places_without_claim as
with
pieces as (
    from open_pieces
    anti join places_by_price using (shipment_line_id, piece)
    anti join places_by_article using (shipment_line_id, piece)
),

units as (
    from seekers
    anti join places_by_tie using (return_item_id)
    where strength = 0
),

-- One row per unit that names its line, and the piece of that line that is its own.
pieces_by_line as (
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

from pieces_by_line
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
    from pieces anti join pieces_by_line using (shipment_line_id, piece)
) as places using (order_number, article, place);

create or replace temp table places_here as
select return_item_id, shipment_line_id, 'tied' as matched_by, false as is_price_unclear from places_by_tie
union all by name
select return_item_id, shipment_line_id, 'line_id' as matched_by, false as is_price_unclear from places_by_line
union all by name
select places.return_item_id, shipment_line_id, ways.matched_by, coalesce(is_price_unclear, false) as is_price_unclear
from (
    select return_item_id, shipment_line_id, false as is_price_unclear from places_by_price
    union all
    select return_item_id, shipment_line_id, is_price_unclear from places_by_article
    union all
    select return_item_id, shipment_line_id, false from places_without_claim
) as places
join
    (select return_item_id, any_value(matched_by) as matched_by from candidates group by all) as ways
    using (return_item_id);
