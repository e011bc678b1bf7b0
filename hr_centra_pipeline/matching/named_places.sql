-- makes: seekers, places_by_tie, places_by_line, line_prices, open_pieces, open_units
-- kind:  step
-- grain: one row per unit that has a piece since a person, or its own line id, names it; and what is left for the
--        others

-- Units that still look for a place, and those that find one by name.

-- Units that still look for a place. Where an order has one article on several lines, units that name their line are placed first.
create or replace temp table seekers as
with
lines_of_article as (
    select order_number, article, count(distinct order_line_id) as lines from shipped_lines group by all
)

select
    candidates.return_item_id, candidates.order_line_id, articles.order_number, articles.article,
    claims.strength, claims.return_created_at,
    candidates.matched_by = 'line_id' and lines_of_article.lines > 1
    and count(*) over (partition by candidates.return_item_id) = 1 as names_its_line
from candidates
join claims using (return_item_id)
join (select distinct order_number, order_line_id, article from shipped_lines) as articles using (order_line_id)
join
    lines_of_article
    on lines_of_article.order_number = articles.order_number and lines_of_article.article = articles.article
anti join known_places on known_places.return_item_id = candidates.return_item_id
anti join adoptions on adoptions.return_item_id = candidates.return_item_id
anti join ambiguous_units on ambiguous_units.return_item_id = candidates.return_item_id;

-- As a person has said last.
create or replace temp table places_by_tie as
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
    anti join known_places using (return_item_id)
    anti join adoptions using (return_item_id)
) as units
join (
    select *, row_number() over (partition by shipment_line_id order by piece) as place from free_pieces
) as places using (shipment_line_id, place);

-- A unit that names its line, and of which something has happened, takes a piece of it first: the one of which more has
-- happened, then the one of the earlier return.
create or replace temp table places_by_line as
select units.return_item_id, places.shipment_line_id, places.piece
from (
    select
        return_item_id, order_line_id,
        row_number() over (
            partition by order_line_id order by strength desc, return_created_at nulls last, return_item_id
        ) as place
    from seekers
    anti join places_by_tie using (return_item_id)
    where names_its_line and strength > 0
) as units
join (
    select *, row_number() over (partition by order_line_id order by shipped_at, shipment_id, piece) as place
    from free_pieces
    anti join places_by_tie using (shipment_line_id, piece)
) as places using (order_line_id, place);

-- One row per shipped line: what a piece of it cost the customer, to a cent where the voucher's shares of its pieces differ.
create or replace temp table line_prices as
select
    shipped_lines.shipment_line_id,
    shipped_lines.unit_price - coalesce(shares.voucher_share, 0) - added_to_part(
        shipped_lines.unit_tax_added,
        coalesce(shares.voucher_share, 0),
        shipped_lines.unit_price - shipped_lines.unit_tax_added,
        shipped_lines.currency
    ) as paid
from shipped_lines
left join (
    select order_line_id, case when pieces_with_more > 0 then larger_share else voucher_share end as voucher_share
    from voucher_shares
) as shares using (order_line_id);

-- One row per piece that is left for units that name an article.
create or replace temp table open_pieces as
select free_pieces.*, line_prices.paid
from free_pieces
join line_prices using (shipment_line_id)
anti join places_by_tie using (shipment_line_id, piece)
anti join places_by_line using (shipment_line_id, piece);

create or replace temp table open_units as
select return_item_id, order_number, article, max(strength) as strength, min(return_created_at) as return_created_at
from seekers
anti join places_by_tie using (return_item_id)
where not names_its_line and strength > 0
group by return_item_id, order_number, article;
