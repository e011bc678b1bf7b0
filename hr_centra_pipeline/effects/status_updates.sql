-- One row per return on an order whose latest milestone Centra does not show. Older milestones are skipped.
delete from effects.pending_status_updates;
insert into effects.pending_status_updates by name
with
reached as (
    select
        items.return_id, items.order_number, items.return_item_id,
        case events.event
            when 'received' then case when items.dropoff_method like 'mail%' then 'received' else 'dropped off' end
            when 'departed' then 'in transit'
            when 'graded' then 'processed'
        end as milestone,
        case events.event when 'received' then 1 when 'departed' then 2 else 3 end as rank,
        events.happened_at
    from staging.return_item_events as events
    join staging.return_items as items using (return_item_id)
    semi join matching.orders_in_play on orders_in_play.order_number = items.order_number
    where events.event in ('received', 'departed', 'graded')
    union all by name
    -- Refunded is what Centra shows as given (`done`: by the ledger, or read back), by us or by somebody else.
    select
        units.return_id, units.order_number, units.return_item_id,
        case items.refund_type when 'exchange' then 'exchanged' else 'refunded' end as milestone, 4 as rank,
        units.credit_due_at as happened_at
    from effects.units as units
    semi join matching.orders_in_play using (order_number)
    join staging.return_items as items using (return_item_id)
    join matching.matched_items as matched using (return_item_id)
    where units.credit_due_at is not null and (
        effect_key(case items.refund_type when 'exchange' then 'exchange_order' else 'credit_note' end, [units.return_item_id])
            in (select effect_key from done)
        or (items.refund_type <> 'exchange' and matched.foreign_centra_return_id is not null)
    )
),

latest as (
    select reached.return_id, reached.order_number, milestone, happened_at
    from reached
    join effects.units as units using (return_item_id)
    where units.is_after_cutover
    qualify row_number() over (
        partition by reached.return_id, reached.order_number order by happened_at desc, rank desc, milestone
    ) = 1
),

named as (
    select
        latest.*,
        effect_key('status_update', [latest.return_id, latest.order_number, milestone]) as effect_key,
        returns.express_code
    from latest
    join staging.orders using (order_number)
    left join staging.returns as returns using (return_id, order_number)
)

select
    named.effect_key,
    'status_update' as effect_kind,
    named.order_number as group_key,
    named.return_id,
    named.order_number,
    1 as quantity,
    '[hr-centra ' || named.effect_key || ' ' || coalesce(express_code, named.return_id) || ': ' || milestone || ' '
        || strftime(happened_at, '%Y-%m-%d') || ']' as "text",
    express_code,
    happened_at as trigger_at,
    happened_at as sendable_at,
    modes."mode",
    coalesce(ledger.state, 'planned') as state
from named
join policy.modes on modes.effect_type = 'status_update'
left join push.ledger on ledger.effect_key = named.effect_key
where named.effect_key not in (select effect_key from done);
