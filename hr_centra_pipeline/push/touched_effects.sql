-- makes: decided_effects, touched_effects
-- kind:  step
-- grain: one row per effect that a change of the settings or a decision of a person touches

-- Whether an effect can be due, or different, by a change of the settings alone.
-- $adoptions, $ties, $exchange_decisions: how many of them the last plan knew.

-- One row per effect of `desired_effects` that has a reason of its own since the last plan, whatever the settings say: a person has adopted
-- its return, tied something to its unit or order, or decided about its replacement. No such decision says who has paid.
create or replace temp table decided_effects as
with
adopted_returns as (
    select return_id from (select return_id, row_number() over (order by rowid) as number from push.adoptions)
    where number > $adoptions
),

tied_units as (
    select return_item_id from (select *, row_number() over (order by rowid) as number from push.ties)
    where number > $ties and return_item_id is not null
),

exchanges as (
    select return_item_id from (select *, row_number() over (order by rowid) as number from push.exchange_decisions)
    where number > $exchange_decisions
)

select effect_key from desired_effects where return_id in (select return_id from adopted_returns)
union
select
    effect_key from desired_effects where return_item_id in (
        select return_item_id from tied_units
        union all
        select return_item_id from exchanges
    )
-- What belongs to a whole return goes with its units.
union
select desired_effects.effect_key
from desired_effects
semi join staging.return_items as items
    on items.return_id = desired_effects.return_id
        and items.order_number = desired_effects.order_number
        and items.return_item_id in (
            select return_item_id from tied_units
            union all
            select return_item_id from exchanges
        )
where desired_effects.return_item_id is null;

-- One row per effect of `desired_effects` that the settings that have changed touch at all ($touched_grades: null: every one): the grade
-- of its unit is done otherwise about now; of money and replacements, that of a unit of its return. Centra has shown the order
-- by then: what came due with its order (while the cut-over was the same, $is_cutover_same) did not by the settings.
create or replace temp table touched_effects as
with
regraded_units as (
    select return_item_id, return_id, order_number from staging.return_items
    where $touched_grades::varchar[] is null or list_contains($touched_grades::varchar[], disposition)
)

select effect_key
from desired_effects
where $is_changed
    and case
        when $touched_grades::varchar[] is null then true
        when effect_kind = 'inventory_adjustment' then return_item_id in (select return_item_id from regraded_units)
        else (return_id, order_number) in (select (return_id, order_number) from regraded_units)
    end
    and not ($is_cutover_same and order_number in (
        select order_number from landing.centra_orders
        where order_number in (select order_number from desired_effects)
        group by order_number having min(batch) > $changed_batch
    ));
