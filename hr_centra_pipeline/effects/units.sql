-- makes: effects.units, doubt_reason
-- kind:  table
-- grain: one row per unit of the active orders: what its grade and dates make due

-- Why nothing is paid for a unit until a person has tied it (`matching.matched_items.doubt`).
create or replace temp macro doubt_reason(doubt, centra_return_id, sku) as case doubt
    when 'foreign_return' then policy.reason('external_return_doubtful', centra_return_id::varchar)
    when 'feeds_disagree' then policy.reason('feeds_disagree', coalesce(sku, '-'))
    else policy.reason('several_prices', sku)
end;

-- One row per return unit: what the policy says about it. Every effect is planned from here.
delete from effects.units where return_item_id in (
        select return_item_id from staging.return_items semi join matching.orders_in_play using (order_number)
    );
insert into effects.units by name
with
unit_rules as (
    select
        items.*,
        is_returnless(items.received_channel, items.dropoff_method) as is_returnless,
        dispositions.disposition is not null as is_listed,
        dispositions.stock,
        dispositions.warehouse_id,
        coalesce(dispositions.hold_hours, parameters.restock_hold_hours) as hold_hours,
        case
            when items.refund_type = 'exchange' then coalesce(exchange_triggers.trigger, parameters.exchange_trigger)
            when is_received_returnless(items.received_channel) then 'approved'
            else coalesce(triggers.trigger, 'approved')
        end as credit_trigger,
        parameters.cutover
    from staging.return_items as items
    semi join matching.orders_in_play using (order_number)
    cross join policy.parameters
    left join policy.dispositions using (disposition)
    left join policy.triggers on triggers.dropoff_method = items.dropoff_method
    left join policy.exchange_triggers on exchange_triggers.dropoff_method = items.dropoff_method
),

-- When its trigger was reached; each also needs the approval.
unit_triggers as (
    select
        *,
        case credit_trigger
            when 'first_scan' then received_at
            when 'approved' then approved_at
            when 'hub_received' then hub_received_at
            when 'warehouse_received' then
                in_warehouse_at(is_by_mail(dropoff_method), received_at, warehouse_received_at)
        end as trigger_at
    from unit_rules
)

select
    unit_triggers.return_item_id,
    unit_triggers.return_id,
    unit_triggers.order_number,
    case
        when adopted_returns.return_id is not null then true
        when return_created_at is null then null
        else return_created_at >= cutover
    end as is_after_cutover,
    policy.is_refused(unit_triggers.disposition, approval_withdrawn_at, return_status, approved_at) as is_refused,
    credit_trigger,
    case when trigger_at is not null and approved_at is not null then greatest(trigger_at, approved_at) end
        as credit_due_at,
    case when is_listed and not is_returnless then disposition_at + to_hours(hold_hours::integer) end as restock_due_at,
    unit_triggers.disposition,
    case when unit_triggers.disposition is not null and not is_returnless then is_listed end as is_mapped,
    case when stock = 'restock' then warehouse_id end as target_warehouse_id
from unit_triggers
left join (select distinct return_id from push.adoptions) as adopted_returns on adopted_returns.return_id = unit_triggers.return_id;
