-- kind:  query
-- grain: one row per thing that happened to a return, or was decided about it

-- One return's story: one row per thing that happened or was decided, by whom, in the order of the decision clock.
-- returns: the return ids; orders: the orders of those returns; waiting: codes whose sentence says itself that it waits.
with
-- One row per unit of the returns that are asked for.
my_units as (
    select return_item_id, return_id, order_number, refund_type, dropoff_method, sku, express_code
    from staging.return_items where return_id in (select unnest($returns::varchar[]))
),

my_ledger as (
    select * from push.ledger where return_id in (select unnest($returns::varchar[]))
),

my_packets as (
    select * from push.packets where packet_key in (select packet_key from my_ledger)
        or list_has_any(members, (select coalesce(list(effect_key), []) from my_ledger))
),

my_returns as (
    select * from staging.centra_returns
    where list_has_any(coalesce(effect_keys, []), (select coalesce(list(effect_key), []) from my_ledger))
        or centra_return_id in (
            select foreign_centra_return_id from matching.matched_items semi join my_units using (return_item_id)
        )
        or centra_return_id in (
            select try_cast(centra_id as bigint) from my_packets where operation in ('credit', 'exchange')
        )
),

-- One row per event that Happy Returns reports.
happy_returns_events as (
    select
        created_at as "at", 'happy_returns' as who, cast(null as varchar) as unit,
        'started for order '
        || order_number
        || coalesce(', ' || dropoff_method, '')
        || ' ('
        || coalesce(refund_status, '-')
        || ' by now)' as what
    from staging.returns where return_id in (select unnest($returns::varchar[]))
    union all by name
    select happened_at as "at", 'happy_returns' as who, return_item_id as unit, replace(event, '_', ' ') as what
    from staging.return_item_events semi join my_units using (return_item_id)
    union all by name
    select
        coalesce(issued_at, source_time) as "at", 'happy_returns' as who,
        'refund row ' || refund_id || ' ' || status || ': ' || coalesce(money_text(total_refunded, currency), '-')
        || coalesce(', shipping ' || money_text(nullif(shipping_refund, 0), currency), '')
        || coalesce(', fee ' || money_text(nullif(processing_fee, 0), currency), '')
        || case when gift_card_id <> '' then ', gift card' else '' end as what
    from staging.refunds where return_id in (select unnest($returns::varchar[]))
),

-- One row per decision of the policy about a unit.
policy_decisions as (
    select
        credit_due_at as "at", 'policy' as who, return_item_id as unit,
        'money due: trigger ' || credit_trigger || ' ('
        || case
            when my_units.refund_type = 'exchange' then 'triggers.exchange' else
                'triggers.by_method.' || coalesce(my_units.dropoff_method, '-')
        end
        || '), and approved' as what,
        1 as rank
    from effects.units join my_units using (return_item_id) where credit_due_at is not null
    union all by name
    select
        restock_due_at as "at", 'policy' as who, return_item_id as unit,
        'goods due: dispositions.'
        || disposition
        || coalesce(' into warehouse ' || target_warehouse_id, ', no movement')
        || ', hold over' as what,
        1 as rank
    from effects.units semi join my_units using (return_item_id) where restock_due_at is not null
    union all by name
    select
        planned_at as "at", 'pipeline' as who, return_item_id as unit,
        effect_text(effect_kind)
        || ' planned '
        || effect_key
        || coalesce(': ' || money_text(amount, currency), '') as what,
        2 as rank
    from my_ledger where planned_at is not null and not is_foreign
    union all by name
    select
        coalesce(confirmed_at, updated_at) as "at",
        case
            when not is_foreign then 'pipeline'
            when effect_kind <> 'credit_note' then 'person'
            else coalesce((
                    select nullif(made_by, 'unknown') from staging.centra_returns as returns
                    where returns.centra_return_id = try_cast(my_ledger.centra_id as bigint)
                ), 'others')
        end as who,
        return_item_id as unit,
        effect_text(effect_kind) || ' ' || case state when 'unknown' then 'in doubt' else state end
        || coalesce(', Centra ' || centra_id, '')
        -- Of what others made, the reason says only that it was others: who is known by now.
        || case when is_foreign then ', not by hr-centra' else coalesce(': ' || reason, '') end as what,
        6 as rank
    from my_ledger where state <> 'planned'
    union all by name
    select
        updated_at as "at", 'pipeline' as who, return_item_id as unit, effect_text(effect_kind)
        || case when reason_code in (select unnest($waiting::varchar[])) then ' ' else ' waits: ' end || reason as what,
        3 as rank
    from my_ledger where state = 'planned' and reason is not null
    union all by name
    select
        approved_at as "at",
        approved_by as who,
        cast(null as varchar) as unit,
        'approved ' || effect_key || ': ' || why as what,
        3 as rank
    from push.approvals
    where effect_key in (
            select effect_key from my_ledger
            union all
            select packet_key from my_packets
        )
    union all by name
    select
        adopted_at as "at",
        adopted_by as who,
        cast(null as varchar) as unit,
        'adopted the return' || coalesce(': ' || why, '') as what,
        3 as rank
    from push.adoptions where return_id in (select unnest($returns::varchar[]))
    union all by name
    select
        decided_at as "at", decided_by as who, return_item_id as unit,
        case decision
            when 'order_again' then 'has the canceled replacement ordered again: '
            else 'refunds the money instead of the canceled replacement: '
        end || why as what,
        3 as rank
    from push.exchange_decisions where return_item_id in (select return_item_id from my_units)
    union all by name
    select
        tied_at as "at",
        tied_by as who,
        return_item_id as unit,
        'tied ' || what || ' ' || centra_id || ': ' || why as what,
        3 as rank
    from push.ties
    where order_number in (select unnest($orders::varchar[])) or return_item_id in (select return_item_id from my_units)
),

-- One row per call that we made.
pipeline_calls as (
    select
        started_at as "at", 'pipeline' as who, cast(null as varchar) as unit,
        'called '
        || operation
        || ' ('
        || step
        || ', '
        || packet_key
        || '): '
        || outcome
        || coalesce(', HTTP ' || http_status, '')
        || coalesce(', ' || latency_ms || ' ms', '')
        || coalesce(', request ' || request_id, '')
        || coalesce(': ' || message, '') as what,
        4 as rank,
        real_started_at
    from push.attempts where packet_key in (select packet_key from my_packets)
),

-- One row per object in Centra.
centra_records as (
    select
        created_at as "at",
        case when packet_key is not null then 'pipeline' else coalesce(nullif(made_by, 'unknown'), 'others') end as who,
        cast(null as varchar) as unit,
        'Return ' || centra_return_id || ' in Centra, ' || lower(status) || ', ' || money_text(grand_total, currency)
        || case
            when packet_key is not null then ''
            when made_by = 'person' then ', made by a person'
            when made_by = 'integration' then ', made by another integration'
            else ', made by another integration or user'
        end
        || case when packet_key is null then coalesce(' (createdFrom ' || created_from || ')', '') else '' end
        || case when returned_to_stock then ', goods put back' else '' end as what
    from my_returns
    union all by name
    select
        deleted_at as "at",
        'Centra' as who,
        cast(null as varchar) as unit,
        'Return ' || centra_return_id || ' found deleted' as what
    from my_returns where deleted_at is not null
    union all by name
    select
        created_at as "at", 'Centra' as who, cast(null as varchar) as unit,
        lower(replace(entry_type, '_', ' '))
        || ' '
        || entry_id
        || ' '
        || lower(status)
        || ': '
        || money_text(amount, currency)
        || coalesce(' on Return ' || centra_return_id, ', without a Return') as what
    from staging.payment_entries
    where is_refund and (
            centra_return_id in (select centra_return_id from my_returns)
            or (centra_return_id is null and order_number in (select unnest($orders::varchar[])))
        )
    union all by name
    select
        min(created_at) as "at", 'Centra' as who, cast(null as varchar) as unit,
        'stock change ' || stock_change_id
        || coalesce(' out of warehouse ' || max(warehouse_id) filter (where quantity < 0), '')
        || coalesce(' into warehouse ' || max(warehouse_id) filter (where quantity > 0), '') as what
    from staging.stock_changes
    where list_has_any(coalesce(effect_keys, []), (select coalesce(list(effect_key), []) from my_ledger))
    group by stock_change_id
    union all by name
    select
        created_at as "at",
        'Centra' as who,
        cast(null as varchar) as unit,
        'replacement order ' || order_number || ' ' || lower(status) as what
    from staging.orders where origin_return_key in (select packet_key from my_packets)
),

-- One row per event of an exception.
exception_lines as (
    select
        events."at", 'exception' as who, told ->> 'return_item_id' as unit,
        events.event
        || ' '
        || events.kind
        || coalesce(': ' || (told ->> 'detail'), '')
        || coalesce(': ' || proof, '') as what
    from (
        select *, subject::json as told from reconciliation.exception_events
    ) as events
    where events.exception_id in (
            select exception_id from reconciliation.exception_events
            where subject::json ->> 'return_id' in (select unnest($returns::varchar[]))
        )
)

-- What has the same time is in the order in which it comes about: reported, due, planned, held or let through by people, called,
-- made in Centra, confirmed, in trouble.
select "at", who, unit, what
from (
    select *, 0 as rank, cast(null as timestamptz) as real_started_at from happy_returns_events
    union all by name
    select * from policy_decisions
    union all by name
    select * from pipeline_calls
    union all by name
    select *, 5 as rank from centra_records
    union all by name
    select *, 7 as rank from exception_lines
)
where "at" is not null
order by "at", rank, real_started_at, unit nulls first, what;
