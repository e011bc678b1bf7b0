-- makes: foreign_lines, return_ties, adoptions, pieces_given
-- kind:  step
-- grain: one row per unit that is on an external Return
-- loop:  push.ledger: a match is frozen once an effect of its unit was sent

-- Returns that others made, and the units that they are for: those that had one before, those that a Return's comment names, and
-- all others whose return was started before it.

-- One row per line of an external Return.
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

-- One row per external Return that a person has tied: to a unit, or (null) to none.
create or replace temp table return_ties as
select try_cast(centra_id as bigint) as centra_return_id, return_item_id from push.ties where what = 'return'
qualify row_number() over (partition by centra_id, return_item_id order by tied_at desc) = 1;

-- One row per unit: the external Return that it was adopted for before, or that a person has tied to it. What never
-- came back does not hold one that another unit may be.
create or replace temp table kept_returns as
with
ties as (
    select return_item_id, centra_return_id::varchar as centra_id
    from return_ties
    semi join items_in_play using (return_item_id)
),

earlier_adoptions as (
    select ledger.return_item_id, ledger.centra_id
    from push.ledger
    semi join items_in_play using (return_item_id)
    semi join foreign_lines on foreign_lines.centra_return_id::varchar = ledger.centra_id
    join claims on claims.return_item_id = ledger.return_item_id
    anti join ties on ties.return_item_id = ledger.return_item_id
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

from ties
union all
from earlier_adoptions;

-- One row per line of an external Return and unit that it may be for: the unit that it is held by, those of a return that
-- its comment names, or those whose return was started before it was made. Only a person knows which article a unit is that
-- names several.
create or replace temp table adoption_pairs as
select
    lines.centra_return_id, lines.shipment_line_id, lines.quantity, lines.created_at as wanted_from,
    items.return_item_id, items.return_created_at, claims.strength,
    coalesce(kept_returns.centra_id = lines.centra_return_id::varchar, false) as is_held,
    kept_returns.centra_id is not null as is_held_by_any,
    list_has_any(coalesce(lines.express_codes, []), [items.express_code, items.return_id]) as is_named
from foreign_lines as lines
join candidates using (order_line_id)
join items_in_play as items using (return_item_id)
join claims using (return_item_id)
left join kept_returns using (return_item_id)
left join ambiguous_units using (return_item_id)
anti join known_places using (return_item_id)
where
    coalesce(kept_returns.centra_id = lines.centra_return_id::varchar, false)
    or (
        ambiguous_units.return_item_id is null
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
create or replace temp macro pieces_given(wants) as table
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
create or replace temp table kept_pairs as from adoption_pairs where is_held;

create or replace temp table adoptions_kept as from pieces_given('kept_pairs');

create or replace temp table named_pairs as
select adoption_pairs.* replace (adoption_pairs.quantity - coalesce(taken_pieces.pieces, 0) as quantity)
from adoption_pairs
anti join adoptions_kept using (return_item_id)
left join (
    select centra_return_id, shipment_line_id, count(*) as pieces from adoptions_kept group by all
) as taken_pieces using (centra_return_id, shipment_line_id)
where adoption_pairs.is_named
    and not adoption_pairs.is_held_by_any
    and adoption_pairs.quantity > coalesce(taken_pieces.pieces, 0);

create or replace temp table adoptions_by_name as from pieces_given('named_pairs');

create or replace temp table unnamed_pairs as
select adoption_pairs.* replace (adoption_pairs.quantity - coalesce(taken_pieces.pieces, 0) as quantity)
from adoption_pairs
anti join adoptions_kept using (return_item_id)
anti join adoptions_by_name using (return_item_id)
left join (
    select centra_return_id, shipment_line_id, count(*) as pieces
    from (
        from adoptions_kept
        union all
        from adoptions_by_name
    ) group by all
) as taken_pieces using (centra_return_id, shipment_line_id)
-- A Return that names another return is not for these.
anti join (select distinct centra_return_id from adoption_pairs where is_named) as named_returns using (centra_return_id)
where not adoption_pairs.is_held_by_any and adoption_pairs.quantity > coalesce(taken_pieces.pieces, 0);

create or replace temp table adoptions as
from adoptions_kept
union all
from adoptions_by_name
union all
from pieces_given('unnamed_pairs');
