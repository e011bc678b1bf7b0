-- kind:  query
-- grain: one row per graded unit whose goods are not booked, or were since a time

-- now: the decision time; done_since: how long ago the goods may have been booked, or a unit without a movement graded.
with
unit_bookings as (
    select
        return_item_id, arg_max(struct_pack(
            state := state, is_foreign := is_foreign, reason := reason, confirmed_at := confirmed_at
        ), (planned_at, effect_key)) as last_one
    from push.ledger
    where effect_kind = 'inventory_adjustment' and state <> 'withdrawn' and return_item_id is not null
    group by return_item_id
),

graded_units as (
    select
        units.return_item_id, units.return_id, units.order_number, coalesce(matched.sku, items.sku) as sku, items.product_name,
        units.disposition, items.condition, items.return_reason as reason,
        coalesce(items.warehouse_received_at, items.received_at) as arrived_at, items.disposition_at as graded_at,
        units.target_warehouse_id as warehouse_id, warehouses.name as warehouse,
        case
            when not units.is_mapped then 'unmapped'
            when units.target_warehouse_id is null then 'none'
            when unit_bookings.last_one.is_foreign then 'external'
            when unit_bookings.last_one.state in ('sending', 'unknown', 'confirmed', 'rejected') then unit_bookings.last_one.state
            when pending.blocked_by is not null and coalesce(pending.blocked_code, '') <> 'waits_until' then 'blocked'
            when coalesce(pending.sendable_at, units.restock_due_at) > $now then 'held'
            when pending.effect_key is not null then 'planned'
            else 'external'
        end as movement,
        coalesce(pending.sendable_at, units.restock_due_at) as due_at,
        coalesce(
            pending.blocked_by, case when unit_bookings.last_one.state <> 'confirmed' then unit_bookings.last_one.reason end
        ) as why,
        unit_bookings.last_one.confirmed_at as confirmed_at
    from effects.units as units
    join staging.return_items as items using (return_item_id)
    left join matching.matched_items as matched using (return_item_id)
    left join unit_bookings using (return_item_id)
    left join effects.pending_inventory_adjustments as pending using (return_item_id)
    left join staging.warehouses as warehouses on warehouses.warehouse_id = units.target_warehouse_id
    where units.disposition is not null
)

select
    return_item_id, return_id, order_number, sku, product_name, disposition, condition, reason,
    instant_text(arrived_at) as arrived_at, instant_text(graded_at) as graded_at, warehouse_id, warehouse, movement,
    case when movement = 'held' then instant_text(due_at) end as held_until, why,
    case when movement = 'confirmed' then instant_text(confirmed_at) end as booked_at
from graded_units
where case movement
        when 'confirmed' then confirmed_at >= $done_since
        when 'none' then graded_at >= $done_since
        when 'external' then graded_at >= $done_since
        else true
    end
order by return_item_id;
