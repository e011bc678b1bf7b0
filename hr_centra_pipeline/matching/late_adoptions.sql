-- makes: late_adoptions, open_credits, doubtful_units
-- kind:  step
-- grain: one row per unit for which no piece is left but one on a Return of others
-- loop:  push.ledger: a match is frozen once an effect of its unit was sent

-- Returns of others that no unit has yet.

-- One row per line of one with pieces left, made before a return was started or named by none; not those of a return that is
-- known, nor those about which a person has decided.
create or replace temp table open_lines as
select lines.* replace (lines.quantity - coalesce(taken_pieces.pieces, 0) as quantity)
from foreign_lines as lines
semi join shipped_lines using (order_line_id)
left join (
    select centra_return_id, shipment_line_id, count(*) as pieces from adoptions group by all
) as taken_pieces using (centra_return_id, shipment_line_id)
anti join return_ties using (centra_return_id)
anti join (
    select distinct lines.centra_return_id
    from foreign_lines as lines
    join items_in_play as items on items.order_number = lines.order_number
        and list_has_any(lines.express_codes, [items.express_code, items.return_id])
) as of_known_returns using (centra_return_id)
where lines.quantity > coalesce(taken_pieces.pieces, 0);

-- A unit for which no piece is left can only be one of those, whenever the Return was made: the latest first.
create or replace temp table late_pairs as
select
    lines.centra_return_id, lines.shipment_line_id, lines.quantity, -epoch_us(lines.created_at) as wanted_from,
    seekers.return_item_id, seekers.return_created_at, seekers.strength
from open_lines as lines
join seekers using (order_line_id)
anti join places_here using (return_item_id);

create or replace temp table late_adoptions as from pieces_given('late_pairs');

-- One row per unit that may nevertheless have been given back on an external Return: it has a piece of its own and nothing was
-- given for it yet, or its credit or replacement is half done.
create or replace temp table open_credits as
select return_item_id from places_here
union all
select return_item_id from known_places
anti join (
    select return_item_id
    from push.ledger
    where gives_value(effect_kind) and state = 'confirmed'
) as given_units using (return_item_id);

-- One row per such unit: the earliest Return that it may be on.
create or replace temp table doubtful_units as
select open_credits.return_item_id, min(lines.centra_return_id) as centra_return_id
from open_credits
join claims using (return_item_id)
join candidates using (return_item_id)
join open_lines as lines on lines.order_line_id = candidates.order_line_id
left join (
    select centra_return_id, shipment_line_id, count(*) as pieces from late_adoptions group by all
) as taken_pieces
    on taken_pieces.centra_return_id = lines.centra_return_id and taken_pieces.shipment_line_id = lines.shipment_line_id
where claims.strength > 0 and len(coalesce(lines.express_codes, [])) = 0 and lines.quantity > coalesce(taken_pieces.pieces, 0)
group by open_credits.return_item_id;
