-- kind:  query
-- grain: one row per look-up that is due at the partner API: a return, an order or the contents of an outbound shipment
-- loop:  landing.partner_answers, landing.partner_shipments: what was asked and listed before decides what is asked now
-- loop:  staging.returns, staging.return_items, staging.return_item_events, staging.return_shipments: whom to ask about is
--        decided by what the last run staged, so that the answers are staged by this one
-- loop:  staging.orders, staging.centra_returns, staging.centra_return_lines, staging.stock_changes: what Centra showed to the
--        last run
-- loop:  reconciliation.lateness: how long a stage usually takes was learned by the last reconciliation

-- What is due, the oldest need first. Nothing is read that was reported, listed or asked before `oldest`. A backfill gives the days that it is about (`window_from`, `window_to`): then what is open
-- of returns started and orders placed on these days is due, however short it has been silent.
with
-- One row per look-up that was completed, or broke on what was answered.
ended_look_ups as (
    select criterion, value, asked_at, is_last, rows_landed
    from landing.partner_answers
    where asked_at > $oldest::timestamptz and (is_last or problem is not null)
),

-- One row per unit that may still be under way: where it is, as far as anybody has reported.
units_under_way as (
    select
        items.return_item_id, items.return_id, items.order_number, items.dropoff_method, items.source_time,
        items.received_at, items.approved_at, items.disposition, items.return_created_at,
        coalesce(items.express_code, returns.express_code) as express_code,
        returns.return_id is null as is_without_return,
        is_returnless(items.received_channel, items.dropoff_method) as is_returnless,
        in_warehouse_at(
            ends_at_drop_off(items.dropoff_method), items.received_at, items.warehouse_received_at
        ) as arrived_at
    from staging.return_items as items
    left join staging.returns as returns
        on returns.return_id = items.return_id and returns.order_number = items.order_number
    where coalesce(items.return_status, '') not in ('expired', 'failed')
        and not policy.is_refused(items.disposition, items.approval_withdrawn_at, items.return_status, items.approved_at)
        and (items.approved_at is null or items.disposition is null)
        and (
            items.source_time > $now::timestamptz - to_days(2 * $look_back_days::integer)
            or ($window_from::timestamptz is not null and items.return_created_at >= $window_from::timestamptz)
        )
),

-- One row per unit that was seen on its way: where last, and when.
last_sightings as (
    select return_item_id, arg_max(event, happened_at) as last_event, max(happened_at) as last_event_at
    from staging.return_item_events
    semi join units_under_way using (return_item_id)
    where is_physical
    group by return_item_id
),

-- One row per open unit: what it waits for, since when, and for how many hours that is usual.
unit_waits as (
    select
        units.return_id, units.order_number, units.express_code, units.return_created_at,
        case
            when last_sightings.last_event is null and units.approved_at is null then 'drop_off'
            when units.arrived_at is null and units.disposition is null and not units.is_returnless then 'goods'
            when units.approved_at is null then 'approval'
            when units.disposition is null and not units.is_returnless then 'grade'
        end as waits_for,
        case waits_for
            when 'drop_off' then coalesce(units.return_created_at, units.source_time)
            when 'approval' then coalesce(units.received_at, last_sightings.last_event_at, units.source_time)
            else coalesce(last_sightings.last_event_at, units.approved_at)
        end as silent_since,
        case waits_for
            when 'drop_off' then $started_hours::bigint
            when 'approval' then parameters.unapproved_days * 24::bigint
            else coalesce(lateness.window_hours, rules.window_hours)
        end as usual_hours
    from units_under_way as units
    cross join policy.parameters
    left join last_sightings using (return_item_id)
    left join reconciliation.lateness as lateness
        on lateness.stage = last_sightings.last_event
            and lateness.dropoff_method = coalesce(units.dropoff_method, 'unknown')
    left join policy.exception_kinds as rules
        on rules.awaits = case when units.arrived_at is null then 'goods' else 'grade' end
    where not units.is_without_return
),

-- One row per return on an order that has been silent for longer than is usual; of a backfill, that is open at all.
silent_returns as (
    select
        return_id, order_number, any_value(express_code) as express_code,
        max(silent_since) as silent_since,
        min(case
            when $window_from::timestamptz is null then silent_since + to_hours(usual_hours::integer) else silent_since
        end) as since
    from unit_waits
    where waits_for is not null
        and case
            when $window_from::timestamptz is null then silent_since + to_hours(usual_hours::integer) <= $now
            else return_created_at >= $window_from::timestamptz and return_created_at < $window_to::timestamptz
        end
    group by return_id, order_number
),

-- One row per Return that others made in Centra.
external_returns as (
    select order_number, created_at, express_codes
    from staging.centra_returns
    where deleted_at is null and packet_key is null and len(coalesce(effect_keys, [])) = 0
        and ($window_from::timestamptz is not null or created_at > $now::timestamptz - to_days($look_back_days::integer))
),

-- One row per order with such a Return: the units on all of its Returns, ours included.
returned_orders as (
    select lines.order_number, sum(lines.quantity)::bigint as units
    from staging.centra_return_lines as lines
    join staging.centra_returns as returns using (centra_return_id)
    semi join external_returns on external_returns.order_number = lines.order_number
    where returns.deleted_at is null
    group by lines.order_number
),

-- One row per mark of a return in Centra: the code that its text names, or its order.
marks_in_centra as (
    select created_at as shown_at, order_number, unnest(express_codes) as code, 1 as units from external_returns
    union all by name
    select created_at as shown_at, order_number, coalesce(units, 1) as units
    from external_returns
    left join returned_orders using (order_number)
    where len(coalesce(express_codes, [])) = 0
    union all by name
    select created_at as shown_at, unnest(named) as code, 1 as units from staging.stock_changes
    where is_customer_return and len(coalesce(effect_keys, [])) = 0
        and ($window_from::timestamptz is not null or created_at > $now::timestamptz - to_days($look_back_days::integer))
),

-- One row per express code or order by which Centra shows a return, with the least number of its units.
returns_in_centra as (
    select
        case when is_express_code then 'happyReturnsExpressCode' else 'orderNumber' end as criterion,
        coalesce(marks.code, marks.order_number) as value,
        min(marks.shown_at) as since,
        max(marks.units) as units
    from (
        select *, coalesce(regexp_full_match(code, 'HR[A-Z0-9]{6}'), false) as is_express_code from marks_in_centra
    ) as marks
    left join staging.orders as orders on orders.order_number = coalesce(marks.code, marks.order_number)
    where (is_express_code or marks.code is null or orders.order_number is not null)
        and (
            $window_from::timestamptz is null
            or (marks.shown_at >= $window_from::timestamptz and marks.shown_at < $window_to::timestamptz)
            or (orders.created_at >= $window_from::timestamptz and orders.created_at < $window_to::timestamptz)
        )
    group by all
),

-- One row per express code or order of these of which a feed has reported a return, with the number of its units.
known_returns as (
    select criterion, value, greatest(sum(units), 1) as units
    from (
        select 'orderNumber' as criterion, order_number as value, 0 as units
        from staging.returns
        semi join returns_in_centra as shown on shown.criterion = 'orderNumber' and shown.value = order_number
        union all by name
        select 'orderNumber' as criterion, order_number as value, 1 as units
        from staging.return_items
        semi join returns_in_centra as shown on shown.criterion = 'orderNumber' and shown.value = order_number
        union all by name
        select 'happyReturnsExpressCode' as criterion, express_code as value, 0 as units
        from staging.returns
        semi join returns_in_centra as shown on shown.criterion = 'happyReturnsExpressCode' and shown.value = express_code
        union all by name
        select 'happyReturnsExpressCode' as criterion, express_code as value, 1 as units
        from staging.return_items
        semi join returns_in_centra as shown on shown.criterion = 'happyReturnsExpressCode' and shown.value = express_code
    )
    group by criterion, value
),

-- One row per return that a feed knows a part of: units without their return, a parcel's units, or a return without its units.
parts_of_returns as (
    select 'return_not_reported' as reason, order_number, express_code, source_time from units_under_way where is_without_return
    union all by name
    select 'unit_not_reported' as reason, order_number, express_code, source_time
    from staging.return_shipments
    anti join staging.return_items using (return_item_id)
    where source_time > $oldest::timestamptz
    union all by name
    select 'units_not_reported' as reason, order_number, express_code, source_time
    from staging.returns
    anti join staging.return_items using (return_id, order_number)
    where refund_status not in ('expired', 'failed')
        and source_time > $oldest::timestamptz
),

-- One row per reason to ask about a return or order.
needs as (
    select
        'silent_return' as reason,
        case when express_code is null then 'orderNumber' else 'happyReturnsExpressCode' end as criterion,
        coalesce(express_code, order_number) as value,
        since, silent_since
    from silent_returns
    union all by name
    select
        'unknown_in_feeds' as reason, shown.criterion, shown.value, shown.since, shown.since as silent_since
    from returns_in_centra as shown
    left join known_returns as known using (criterion, value)
    where known.units is null or known.units < shown.units
    union all by name
    select
        reason,
        case when express_code is null then 'orderNumber' else 'happyReturnsExpressCode' end as criterion,
        coalesce(express_code, order_number) as value,
        -- its other rows may be on their way, in the next file or delivery
        min(source_time) + to_hours($again_hours::integer) as since,
        min(source_time) as silent_since
    from parts_of_returns
    where coalesce(express_code, order_number) is not null and $window_from::timestamptz is null
    group by all
),

-- One row per return or order to ask about: the oldest of the reasons, and how often it was asked since the last news.
needs_and_look_ups as (
    select
        needs.criterion, needs.value, needs.reason, needs.since,
        count(distinct ended_look_ups.asked_at) as look_ups,
        max(ended_look_ups.asked_at) as asked_at
    from (
        select
            criterion, value, arg_min(reason, (since, reason)) as reason, min(since) as since,
            max(silent_since) as silent_since
        from needs
        group by criterion, value
    ) as needs
    left join ended_look_ups
        on ended_look_ups.criterion = needs.criterion and ended_look_ups.value = needs.value
            and ended_look_ups.asked_at > needs.silent_since
    group by all
),

-- One row per outbound shipment: since when it has been listed as it was listed last.
listed_shipments as (
    select shipment_id as value, max(listed_at) as listed_at
    from landing.partner_shipments
    where listed_at > $oldest::timestamptz
    group by shipment_id
),

-- One row per outbound shipment: how often its contents were read since then, and what the last time brought.
shipment_reads as (
    select
        shipments.value, shipments.listed_at,
        count(ended_look_ups.asked_at) as look_ups,
        max(ended_look_ups.asked_at) as asked_at,
        count(*) filter (where is_last) as reads,
        arg_max(ended_look_ups.rows_landed, ended_look_ups.asked_at) filter (where is_last) as rows_landed
    from listed_shipments as shipments
    left join ended_look_ups
        on ended_look_ups.criterion = 'shipment' and ended_look_ups.value = shipments.value
            and ended_look_ups.asked_at >= shipments.listed_at
    group by all
),

-- What nobody has asked yet, and what was asked long enough ago.
due_look_ups as (
    select criterion, value, reason, since, look_ups, asked_at
    from needs_and_look_ups
    union all by name
    select 'shipment' as criterion, value, 'shipment_contents' as reason, listed_at as since, look_ups, asked_at
    from shipment_reads
    -- A shipment may grow for a while: it is read until a look brings nothing new, and again when the list shows another state.
    where reads <= 1 or rows_landed > 0
)

select criterion, value, reason, since
from due_look_ups
where since <= $now and look_ups < $most_look_ups
    and (since > $now::timestamptz - to_days($look_back_days::integer) or $window_from::timestamptz is not null)
    and (
        look_ups = 0
        or asked_at + to_hours(($again_hours * pow(2, look_ups - 1))::integer) <= $now
    )
order by since, criterion, value;
