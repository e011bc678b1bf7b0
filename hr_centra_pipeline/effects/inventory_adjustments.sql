-- makes: effects.pending_inventory_adjustments
-- kind:  table
-- grain: one row per stock movement of a unit that is due and not in Centra
-- loop:  push.ledger: a movement that was sent has its ordinal and its warehouse, before a pull shows it

-- One row per stock movement of a unit that is due and not in Centra. A regrade is a transfer; net stock put back is 0 or 1.

-- One row per unit and ordinal whose movement is in Centra (or on its way), with the warehouse that the unit is in since.
-- A movement is looked for only where the one before it was found.
create or replace temp table unit_movements as
with recursive
-- One row per movement that was sent.
ledger_movements as (
    select effect_key, state, warehouse_id from push.ledger
    where effect_kind = 'inventory_adjustment' and state in ('sending', 'unknown', 'confirmed')
        and (order_number is null or order_number in (select order_number from matching.orders_in_play))
),

-- One row per movement that Centra shows.
centra_movements as (
    select effect_key, arg_max_null(warehouse_id, seen_at) as warehouse_id from effects.observed
    where place = 'stock_change'
        and (landed_batch > $since or effect_key in (select effect_key from ledger_movements))
    group by effect_key
),

shown_movements as (
    select
        effect_key,
        coalesce(ledger_movements.state in ('sending', 'unknown') and centra_movements.effect_key is null, false) as is_on_its_way,
        coalesce(centra_movements.warehouse_id, ledger_movements.warehouse_id) as warehouse_id
    from ledger_movements
    full join centra_movements using (effect_key)
),

movement_chain as (
    select units.return_item_id, 1 as ordinal, shown_movements.is_on_its_way, shown_movements.warehouse_id
    from effects.units as units
    semi join matching.orders_in_play using (order_number)
    join shown_movements on shown_movements.effect_key = effect_key('inventory_adjustment', [units.return_item_id, '1'])
    union all
    select
        movement_chain.return_item_id,
        movement_chain.ordinal + 1,
        shown_movements.is_on_its_way,
        shown_movements.warehouse_id
    from movement_chain
    join
        shown_movements
        on shown_movements.effect_key
            = effect_key('inventory_adjustment', [movement_chain.return_item_id, (movement_chain.ordinal + 1)::varchar])
)

from movement_chain;

-- One row per unit with movements: as which article it was booked last.
create or replace temp table booked_articles as
select unit_movements.return_item_id, arg_max(booked.sku, unit_movements.ordinal) as sku
from unit_movements
join booked_movements as booked
    on booked.effect_key
        = effect_key('inventory_adjustment', [unit_movements.return_item_id, unit_movements.ordinal::varchar])
group by unit_movements.return_item_id;

delete from effects.pending_inventory_adjustments;
insert into effects.pending_inventory_adjustments by name
with
-- Where each unit is by what is booked. An external Return that put the goods back counts as the first movement.
unit_positions as (
    select
        return_item_id, max(ordinal) as last_ordinal,
        arg_max_null(warehouse_id, ordinal) as warehouse_id, -- null: it was moved out, and is in no warehouse
        bool_or(is_on_its_way) as is_on_its_way
    from unit_movements group by return_item_id
),

graded_units as (
    select
        units.*,
        matched.shipment_id,
        matched.shipment_line_id,
        matched.reason as unmatched_reason,
        matched.currency,
        matched.unit_price,
        -- What was booked as another article is moved on as that one: a person corrects it whole.
        coalesce(booked_articles.sku, case when matched.is_corrected then matched.present_sku else matched.sku end)
            as sku,
        matched.doubt,
        matched.doubtful_return_id,
        items.disposition_at, items.express_code,
        coalesce(unit_positions.last_ordinal, 0) + 1 as ordinal,
        case
            when unit_positions.return_item_id is not null then unit_positions.warehouse_id
            when foreign_return.returned_to_stock then foreign_return.warehouse_id
        end as lies_in,
        coalesce(unit_positions.is_on_its_way, false) as is_on_its_way
    from effects.units as units
    join staging.return_items as items using (return_item_id)
    join matching.matched_items as matched using (return_item_id)
    left join unit_positions using (return_item_id)
    left join booked_articles using (return_item_id)
    left join staging.centra_returns as foreign_return
        on foreign_return.centra_return_id = matched.foreign_centra_return_id
    semi join matching.orders_in_play as in_play on in_play.order_number = units.order_number
    where units.is_mapped is not null
),

due_movements as (
    select
        graded_units.*,
        effect_key('inventory_adjustment', [return_item_id, ordinal::varchar]) as effect_key,
        case
            when is_after_cutover is null then policy.reason('start_unknown')
            when not is_after_cutover then policy.reason('before_cutover')
            when not is_mapped then policy.reason('disposition_unmapped', disposition)
            when shipment_line_id is null then policy.reason('no_shipment_line', unmatched_text(unmatched_reason))
            when graded_units.sku is null then policy.reason('corrected_to_no_line')
            when doubt = 'feeds_disagree' then doubt_reason(doubt, doubtful_return_id, graded_units.sku)
            when doubtful.returned_to_stock then doubt_reason('foreign_return', doubtful_return_id, graded_units.sku)
        end as block
    from graded_units
    left join staging.centra_returns as doubtful on doubtful.centra_return_id = graded_units.doubtful_return_id
    cross join policy.parameters
    where
        not is_on_its_way
        and (is_after_cutover is distinct from false or coalesce(restock_due_at, disposition_at) >= parameters.cutover)
        and (not is_mapped or target_warehouse_id is distinct from lies_in)
)

select
    due_movements.effect_key,
    'inventory_adjustment' as effect_kind,
    'stock' as group_key,
    due_movements.return_id,
    due_movements.return_item_id,
    due_movements.order_number,
    due_movements.shipment_id,
    due_movements.shipment_line_id,
    due_movements.sku,
    1 as quantity,
    target_warehouse_id as warehouse_id,
    lies_in as from_warehouse_id,
    due_movements.currency,
    unit_price as amount,
    express_code,
    disposition_at as trigger_at,
    coalesce(restock_due_at, disposition_at) as sendable_at,
    modes."mode",
    policy.in_words(reasons.sentence, due_movements.block.figures) as blocked_by,
    due_movements.block.code as blocked_code,
    coalesce(ledger.state, 'planned') as state,
    json_object('disposition', disposition, 'ordinal', ordinal) as evidence
from due_movements
join policy.modes on modes.effect_type = 'inventory_adjustment'
left join policy.reasons on reasons.code = due_movements.block.code
left join push.ledger on ledger.effect_key = due_movements.effect_key
where due_movements.block is not null or target_warehouse_id is not null or lies_in is not null;
