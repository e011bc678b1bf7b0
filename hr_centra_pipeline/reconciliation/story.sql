-- kind:  query
-- grain: one row per return

-- The stories of many returns at once: what `hr-centra explain` and the pages show of each (reconciliation/story.py).
-- returns: the return ids; waiting: codes whose sentence says itself that it waits; now: the decision time.
create or replace temp table story_returns as
select distinct unnest($returns::varchar[]) as return_id;

create or replace temp table story_units as
select
    items.*, coalesce(matched.sku, items.sku) as known_sku, matched.unit_price, matched.voucher_share,
    matched.foreign_centra_return_id
from staging.return_items as items
semi join story_returns using (return_id)
left join matching.matched_items as matched using (return_item_id);

-- One row per return and order of it: first those that the return itself names.
create or replace temp table story_orders as
select return_id, order_number, min(place) as place
from (
    select return_id, order_number, 1 as place from staging.returns semi join story_returns using (return_id)
    union all
    select return_id, order_number, 2 as place from story_units
)
group by return_id, order_number;

create or replace temp table story_ledger as
select * from push.ledger semi join story_returns using (return_id);

-- One row per return and packet that carries something of it.
create or replace temp table story_packets as
with
pairs as (
    select return_id, packet_key from story_ledger where packet_key is not null
    union
    select story_ledger.return_id, members.packet_key
    from (select packet_key, unnest(members) as effect_key from push.packets) as members
    join story_ledger using (effect_key)
)

select pairs.return_id, packets.*
from pairs
join push.packets using (packet_key);

-- One row per return and Return of Centra that is about it.
create or replace temp table story_credit_notes as
with
pairs as (
    select story_ledger.return_id, named_keys.centra_return_id
    from (select centra_return_id, unnest(effect_keys) as effect_key from staging.centra_returns) as named_keys
    join story_ledger using (effect_key)
    union
    select return_id, foreign_centra_return_id as centra_return_id from story_units where foreign_centra_return_id is not null
    union
    select return_id, try_cast(centra_id as bigint) as centra_return_id
    from story_packets where operation in ('credit', 'exchange')
)

select pairs.return_id, returns.*
from pairs
join staging.centra_returns as returns using (centra_return_id);

-- One row per thing that happened to a return, or was decided about it. What has the same time is in the order in which it comes
-- about: reported, due, planned, held or let through by people, called, made in Centra, confirmed, in trouble.
create or replace temp table story_lines as
with
-- One row per event that Happy Returns reports.
happy_returns_events as (
    select
        return_id, created_at as "at", 'happy_returns' as who, cast(null as varchar) as unit,
        'started for order '
        || order_number
        || coalesce(', ' || dropoff_method, '')
        || ' ('
        || coalesce(refund_status, '-')
        || ' by now)' as what
    from staging.returns semi join story_returns using (return_id)
    union all by name
    select
        story_units.return_id, happened_at as "at", 'happy_returns' as who, return_item_id as unit, replace(event, '_', ' ') as what
    from staging.return_item_events join story_units using (return_item_id)
    union all by name
    select
        return_id, coalesce(issued_at, source_time) as "at", 'happy_returns' as who,
        'refund row ' || refund_id || ' ' || status || ': ' || coalesce(money_text(total_refunded, currency), '-')
        || coalesce(', shipping ' || money_text(nullif(shipping_refund, 0), currency), '')
        || coalesce(', fee ' || money_text(nullif(processing_fee, 0), currency), '')
        || case when gift_card_id <> '' then ', gift card' else '' end as what
    from staging.refunds semi join story_returns using (return_id)
),

-- One row per decision of the policy about a unit.
policy_decisions as (
    select
        story_units.return_id,
        credit_due_at as "at", 'policy' as who, return_item_id as unit,
        'money due: trigger ' || credit_trigger || ' ('
        || case
            when story_units.refund_type = 'exchange' then 'triggers.exchange' else
                'triggers.by_method.' || coalesce(story_units.dropoff_method, '-')
        end
        || '), and approved' as what,
        1 as rank
    from effects.units join story_units using (return_item_id) where credit_due_at is not null
    union all by name
    select
        units.return_id,
        restock_due_at as "at", 'policy' as who, return_item_id as unit,
        'goods due: dispositions.'
        || units.disposition
        || coalesce(' into warehouse ' || target_warehouse_id, ', no movement')
        || ', hold over' as what,
        1 as rank
    from effects.units semi join story_returns using (return_id) where restock_due_at is not null
    union all by name
    select
        return_id, planned_at as "at", 'pipeline' as who, return_item_id as unit,
        effect_text(effect_kind)
        || ' planned '
        || effect_key
        || coalesce(': ' || money_text(amount, currency), '') as what,
        2 as rank
    from story_ledger where planned_at is not null and not is_foreign
    union all by name
    select
        story_ledger.return_id, coalesce(confirmed_at, updated_at) as "at",
        case
            when not is_foreign then 'pipeline'
            when effect_kind <> 'credit_note' then 'person'
            else coalesce(nullif(returns.made_by, 'unknown'), 'others')
        end as who,
        return_item_id as unit,
        effect_text(effect_kind) || ' ' || case state when 'unknown' then 'in doubt' else state end
        || coalesce(', Centra ' || centra_id, '')
        -- Of what others made, the reason says only that it was others: who is known by now.
        || case when is_foreign then ', not by hr-centra' else coalesce(': ' || reason, '') end as what,
        6 as rank
    from story_ledger
    left join staging.centra_returns as returns on returns.centra_return_id = try_cast(story_ledger.centra_id as bigint)
    where state <> 'planned'
    union all by name
    select
        return_id, updated_at as "at", 'pipeline' as who, return_item_id as unit, effect_text(effect_kind)
        || case when reason_code in (select unnest($waiting::varchar[])) then ' ' else ' waits: ' end || reason as what,
        3 as rank
    from story_ledger where state = 'planned' and reason is not null
    union all by name
    select
        approvable_keys.return_id,
        approved_at as "at",
        approved_by as who,
        cast(null as varchar) as unit,
        'approved ' || effect_key || ': ' || why as what,
        3 as rank
    from push.approvals
    join (
        select return_id, effect_key from story_ledger
        union
        select return_id, packet_key from story_packets
    ) as approvable_keys using (effect_key)
    union all by name
    select
        return_id,
        adopted_at as "at",
        adopted_by as who,
        cast(null as varchar) as unit,
        'adopted the return' || coalesce(': ' || why, '') as what,
        3 as rank
    from push.adoptions semi join story_returns using (return_id)
    union all by name
    select
        story_units.return_id, decided_at as "at", decided_by as who, return_item_id as unit,
        case decision
            when 'order_again' then 'has the canceled replacement ordered again: '
            else 'refunds the money instead of the canceled replacement: '
        end || why as what,
        3 as rank
    from push.exchange_decisions join story_units using (return_item_id)
    union all by name
    select
        tied_returns.return_id,
        tied_at as "at",
        tied_by as who,
        return_item_id as unit,
        'tied ' || what || ' ' || centra_id || ': ' || why as what,
        3 as rank
    from (
        select story_orders.return_id, ties.tie_id from push.ties join story_orders using (order_number)
        union
        select story_units.return_id, ties.tie_id from push.ties join story_units using (return_item_id)
    ) as tied_returns
    join push.ties using (tie_id)
),

-- One row per call that we made.
pipeline_calls as (
    select
        story_packets.return_id, started_at as "at", 'pipeline' as who, cast(null as varchar) as unit,
        'called '
        || attempts.operation
        || ' ('
        || attempts.step
        || ', '
        || packet_key
        || '): '
        || outcome
        || coalesce(', HTTP ' || http_status, '')
        || coalesce(', ' || latency_ms || ' ms', '')
        || coalesce(', request ' || request_id, '')
        || coalesce(': ' || attempts.message, '') as what,
        4 as rank,
        real_started_at
    from push.attempts join story_packets using (packet_key)
),

-- One row per object in Centra.
centra_records as (
    select
        return_id, created_at as "at",
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
    from story_credit_notes
    union all by name
    select
        return_id,
        deleted_at as "at",
        'Centra' as who,
        cast(null as varchar) as unit,
        'Return ' || centra_return_id || ' found deleted' as what
    from story_credit_notes where deleted_at is not null
    union all by name
    select
        refunds_of_returns.return_id, created_at as "at", 'Centra' as who, cast(null as varchar) as unit,
        lower(replace(entry_type, '_', ' '))
        || ' '
        || entry_id
        || ' '
        || lower(status)
        || ': '
        || money_text(amount, currency)
        || coalesce(' on Return ' || centra_return_id, ', without a Return') as what
    from staging.payment_entries
    join (
        select story_credit_notes.return_id, entries.entry_id
        from staging.payment_entries as entries join story_credit_notes using (centra_return_id)
        where entries.is_refund
        union
        select story_orders.return_id, entries.entry_id
        from staging.payment_entries as entries join story_orders using (order_number)
        where entries.is_refund and entries.centra_return_id is null
    ) as refunds_of_returns using (entry_id)
    union all by name
    select
        story_ledger.return_id,
        min(changed_units.created_at) as "at", 'Centra' as who, cast(null as varchar) as unit,
        'stock change ' || stock_change_id
        || coalesce(' out of warehouse ' || max(changed_units.warehouse_id) filter (where quantity < 0), '')
        || coalesce(' into warehouse ' || max(changed_units.warehouse_id) filter (where quantity > 0), '') as what
    from (select *, unnest(effect_keys) as effect_key from staging.stock_changes) as changed_units
    join story_ledger using (effect_key)
    group by story_ledger.return_id, stock_change_id
    union all by name
    select
        story_packets.return_id,
        orders.created_at as "at",
        'Centra' as who,
        cast(null as varchar) as unit,
        'replacement order ' || order_number || ' ' || lower(status) as what
    from staging.orders join story_packets on story_packets.packet_key = orders.origin_return_key
),

described_events as (
    select *, subject::json as told from reconciliation.exception_events
),

-- One row per event of an exception.
exception_lines as (
    select
        exceptions_of_returns.return_id, described_events."at", 'exception' as who, told ->> 'return_item_id' as unit,
        described_events.event
        || ' '
        || described_events.kind
        || coalesce(': ' || (told ->> 'detail'), '')
        || coalesce(': ' || proof, '') as what
    from described_events
    join (
        select distinct exception_id, told ->> 'return_id' as return_id
        from described_events where told ->> 'return_id' in (from story_returns)
    ) as exceptions_of_returns using (exception_id)
)

select
    return_id, "at", who, unit, what,
    row_number() over (partition by return_id order by "at", rank, real_started_at, unit nulls first, what) as place
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
where "at" is not null;

-- One row per return and open exception that is about it, or about its order and no return.
create or replace temp table story_exceptions as
with
open_exceptions as (
    select *, 'open' as state from reconciliation.exceptions
    union all by name
    select *, 'dry_run' as state from reconciliation.dry_run_items
),

pairs as (
    select return_id, exception_id from open_exceptions semi join story_returns using (return_id)
    union
    select story_orders.return_id, exception_id
    from open_exceptions
    join story_orders using (order_number)
    where open_exceptions.return_id is null
)

select
    pairs.return_id, open_exceptions.* exclude (return_id)
from pairs
join open_exceptions using (exception_id);

-- One row per unit that waits, and per return that the shopper has not handed in yet: for what, how long, and who must act.
create or replace temp table story_waits as
with
-- One row per unit, with the team that has an exception about it.
teams as (
    select return_item_id, arg_min(owner_team, (due_at, exception_id)) as owner_team
    from story_exceptions where state = 'open' and return_item_id is not null group by return_item_id
),

unit_waits as (
    select
        delays.return_id,
        delays.return_item_id,
        delays.waits_code,
        delays.waits_for as words,
        delays.waits_since as since,
        delays.window_hours,
        delays.verdict,
        delays.reason,
        effect_types.effect_kind is not null as is_ours, effect_types.missing
    from reconciliation.delays
    semi join story_returns using (return_id)
    left join policy.effect_types on effect_types.effect_kind = delays.waits_code
)

select
    waits.return_id,
    waits.return_item_id,
    waits.waits_code as code,
    waits.words,
    waits.reason,
    due_effects.blocked_code as reason_code,
    waits.since,
    case
        when due_effects.sendable_at > $now then due_effects.sendable_at
        when not waits.is_ours and waits.verdict in ('not_due', 'in_time') then waits.since + to_hours(waits.window_hours::integer)
    end as until,
    waits.verdict,
    case
        when teams.owner_team is not null then teams.owner_team
        when waits.waits_code = 'goods' then 'carrier'
        when waits.waits_code in ('approval', 'grade') then 'happy_returns'
        else must_act_for(
                due_effects."mode", due_effects.sendable_at, $now, reasons.needs_approval, reasons.class, kinds.owner_team
            )
    end as must_act
from unit_waits as waits
left join pending_effects as due_effects
    on due_effects.return_item_id = waits.return_item_id and due_effects.effect_kind = waits.waits_code
left join policy.reasons on reasons.code = due_effects.blocked_code
left join policy.exception_kinds as kinds on kinds.kind = waits.missing
left join teams on teams.return_item_id = waits.return_item_id
union all by name
select
    return_id, 'hand_over' as code, 'the shopper to hand it in' as words, min(coalesce(started_at, created_at)) as since,
    'in_time' as verdict, 'shopper' as must_act
from staging.returns
semi join story_returns using (return_id)
where return_id not in (select return_id from reconciliation.delays)
group by return_id
having bool_and(refund_status = 'started') and bool_and(dropped_off_at is null);

-- One row per return and refund: a Return of Centra, one that no pull has shown yet, or what is planned on an order. Each part is
-- what its own source has; whether they add up is for the reader to see.
create or replace temp table story_refunds as
with
payments as (
    select
        centra_return_id,
        sum(amount) filter (where is_refunded(money)) as paid,
        sum(amount) filter (where is_refund_open(money)) as requested,
        bool_or(is_refund_failed(money)) as has_failed,
        bool_or(is_gift_card(instrument)) filter (where is_given_back(money)) as by_gift_card,
        max(created_at) filter (where is_refunded(money)) as paid_at
    from staging.payment_entries
    where centra_return_id in (select centra_return_id from story_credit_notes) and is_refund
    group by centra_return_id
),

-- One row per credit note, with all returns that it is about.
units_of_notes as (
    select centra_return_id, list(distinct return_item_id order by return_item_id) as return_item_ids
    from (
        select ledger.return_item_id, try_cast(ledger.centra_id as bigint) as centra_return_id
        from push.ledger
        where ledger.return_item_id is not null and is_on_a_return(ledger.effect_kind) and ledger.centra_id is not null
        union
        select return_item_id, foreign_centra_return_id from story_units
    )
    where centra_return_id in (select centra_return_id from story_credit_notes)
    group by centra_return_id
),

shown_refunds as (
    select
        notes.return_id, notes.order_number, notes.centra_return_id, notes.packet_key, notes.packet_key is null as is_external,
        case
            when payments.requested > 0 then 'requested'
            when payments.paid > 0 then 'paid'
            when packets.operation = 'exchange' then 'exchange'
            when packets.payload ->> 'pays_through' = 'elsewhere' then 'elsewhere'
            when payments.has_failed then 'failed'
            else 'not_paid'
        end as state,
        notes.currency, notes.line_values as items, notes.discounts + notes.discount_tax_added as voucher,
        notes.shipping + notes.handling + notes.shipping_tax_added as shipping,
        notes.return_cost + notes.return_cost_tax_added as fee,
        coalesce(payments.paid, 0) + coalesce(payments.requested, 0) as paid,
        case
            when payments.by_gift_card then 'gift_card'
            when payments.paid > 0 or payments.requested > 0 then 'centra'
            else packets.payload ->> 'pays_through'
        end as pays_through,
        payments.paid_at,
        units_of_notes.return_item_ids
    from story_credit_notes as notes
    left join payments using (centra_return_id)
    left join story_packets as packets on packets.return_id = notes.return_id and packets.packet_key = notes.packet_key
    left join units_of_notes using (centra_return_id)
    where notes.deleted_at is null
),

-- Sent, and not read back yet.
fresh_refunds as (
    select
        packets.return_id,
        packets.payload ->> 'order_number' as order_number,
        try_cast(packets.centra_id as bigint) as centra_return_id,
        packets.packet_key, false as is_external,
        case packets.state when 'confirmed' then 'confirmed' else 'in_doubt' end as state,
        packets.payload ->> 'currency' as currency,
        sum(matched.unit_price) as items, coalesce(sum(matched.voucher_share), 0) as voucher,
        coalesce(sum(ledger.amount) filter (where ledger.effect_kind = 'shipping_refund'), 0) as shipping,
        coalesce(any_value((packets.payload ->> 'fee')::decimal(18, 4)), 0)
        + coalesce(any_value((packets.payload ->> 'fee_tax')::decimal(18, 4)), 0) as fee,
        any_value(coalesce(packets.payload ->> 'paid', packets.payload ->> 'total')::decimal(18, 4)) as paid,
        packets.payload ->> 'pays_through' as pays_through,
        any_value(packets.updated_at) as paid_at,
        list(distinct ledger.return_item_id order by ledger.return_item_id) filter (where ledger.return_item_id is not null)
            as return_item_ids
    from story_packets as packets
    join push.ledger as ledger on list_contains(packets.members, ledger.effect_key)
    left join matching.matched_items as matched on matched.return_item_id = ledger.return_item_id
    anti join story_credit_notes as notes on notes.return_id = packets.return_id and notes.packet_key = packets.packet_key
    where packets.operation = 'credit' and packets.state in ('sending', 'unknown', 'confirmed')
    group by all
),

planned_refunds as (
    select
        credits.return_id, credits.order_number, cast(null as bigint) as centra_return_id, cast(null as varchar) as packet_key,
        false as is_external, case when bool_or(credits.blocked_by is not null) then 'held' else 'planned' end as state,
        credits.currency, coalesce(sum(matched.unit_price), 0) as items, coalesce(sum(matched.voucher_share), 0) as voucher,
        coalesce(sum(credits.shipping), 0) as shipping, coalesce(sum(credits.fee), 0) as fee,
        sum(
            case when takes_off(credits.effect_kind) then -credits.amount
                when credits.effect_kind = 'credit_note' then credits.amount - coalesce(credits.fee, 0)
                else credits.amount
            end
        ) as paid,
        credits.pays_through, cast(null as timestamptz) as paid_at,
        list(distinct credits.return_item_id order by credits.return_item_id) filter (where credits.return_item_id is not null)
            as return_item_ids
    from effects.pending_credit_notes as credits
    semi join story_returns using (return_id)
    left join matching.matched_items as matched using (return_item_id)
    where credits.state in ('planned', 'rejected') and credits.currency is not null and credits.amount is not null
    group by credits.return_id, credits.order_number, credits.currency, credits.pays_through
)

select
    *, (coalesce(items, 0) - voucher + shipping - fee)::decimal(18, 4) as total,
    row_number() over (partition by return_id order by paid_at nulls last, order_number, centra_return_id nulls last, pays_through)
        as place
from (
    select * from shown_refunds
    union all by name
    select * from fresh_refunds
    union all by name
    select * from planned_refunds
);

-- One row per return, with its story as JSON.
with
heads as (
    select
        return_id, any_value(express_code) as express_code, any_value(dropoff_method) as dropoff_method,
        arg_min(refund_status, order_number) as state, min(coalesce(started_at, created_at)) as started_at
    from staging.returns semi join story_returns using (return_id) group by return_id
),

orders_of_returns as (
    select return_id, list(order_number order by place, order_number) as orders from story_orders group by return_id
),

last_physical as (
    select return_item_id, arg_max(event, happened_at) as last_event, max(happened_at) as last_event_at
    from staging.return_item_events semi join story_units using (return_item_id)
    where is_physical
    group by return_item_id
),

effects_of_units as (
    select
        return_item_id,
        string_agg(effect_text(effect_kind) || ' ' || replace(state, 'unknown', 'in doubt'), ', ' order by effect_kind)
            as effects
    from story_ledger where return_item_id is not null group by return_item_id
),

units_of_returns as (
    select
        units.return_id, count(*) as units, any_value(units.express_code) as express_code,
        arg_min(value.currency, units.return_item_id) filter (where value.currency is not null) as currency,
        string_agg(to_json(struct_pack(
            return_item_id := units.return_item_id, sku := units.known_sku, product_name := units.product_name,
            order_number := units.order_number, refund_type := units.refund_type, exchange_sku := units.exchange_sku,
            reason := units.return_reason, disposition := units.disposition, condition := units.condition,
            last_event := last_physical.last_event, last_event_at := instant_text(last_physical.last_event_at),
            effects := coalesce(effects_of_units.effects, 'nothing yet'), currency := value.currency,
            paid := value.paid::varchar, given := value.given::varchar, refundable := value.refundable::varchar,
            root_order := value.root_order, chain_depth := value.chain_depth
        ))::varchar, ',' order by units.return_item_id) as listed
    from story_units as units
    left join effects.value_given_back as value using (return_item_id)
    left join effects_of_units using (return_item_id)
    left join last_physical using (return_item_id)
    group by units.return_id
),

amounts_by_side as (
    select
        return_id, order_number, component, currency, expected_amount as expected, happy_returns_amount as happy_returns,
        centra_amount as centra, provider_amount as provider, culprit, is_explained, explained_by, within_tolerance, rule
    from reconciliation.refund_match semi join story_returns using (return_id)
    union all by name
    select
        return_id, order_number, 'total' as component, currency, sum(expected_amount) as expected,
        sum(happy_returns_amount) as happy_returns, sum(centra_amount) as centra, sum(provider_amount) as provider
    from reconciliation.refund_match semi join story_returns using (return_id)
    group by return_id, order_number, currency
),

reports_of_returns as (
    select
        return_id,
        string_agg(
            to_json(struct_pack(
                order_number := order_number, component := component, currency := currency, expected := expected::varchar,
                happy_returns := happy_returns::varchar, centra := centra::varchar, provider := provider::varchar,
                culprit := culprit, is_explained := is_explained, explained_by := explained_by,
                within_tolerance := within_tolerance, rule := rule
            ))::varchar, ',' order by
                order_number, currency, list_position(['items', 'tax', 'shipping', 'fee', 'exchange', 'total'], component)
        ) as listed
    from amounts_by_side group by return_id
),

effects_of_returns as (
    select
        return_id,
        string_agg(to_json(struct_pack(
            effect_key := effect_key, effect_kind := effect_kind, return_item_id := return_item_id, order_number := order_number,
            state := state, is_external := is_foreign, currency := currency, amount := amount::varchar, centra_id := centra_id,
            packet_key := packet_key, planned_at := instant_text(planned_at), sent_at := instant_text(first_sent_at),
            confirmed_at := instant_text(confirmed_at), reason := reason, reason_code := reason_code
        ))::varchar, ',' order by coalesce(first_sent_at, planned_at, updated_at), effect_kind, effect_key) as listed
    from story_ledger where state <> 'withdrawn' group by return_id
),

refunds_of_returns as (
    select
        return_id,
        string_agg(to_json(struct_pack(
            order_number := order_number, centra_return_id := centra_return_id, packet_key := packet_key,
            is_external := is_external, state := state, currency := currency, items := coalesce(items, 0)::decimal(18, 4)::varchar,
            voucher := voucher::decimal(18, 4)::varchar, shipping := shipping::decimal(18, 4)::varchar,
            fee := fee::decimal(18, 4)::varchar, total := total::varchar, paid := paid::decimal(18, 4)::varchar,
            pays_through := pays_through, paid_at := instant_text(paid_at),
            return_item_ids := coalesce(return_item_ids, [])
        ))::varchar, ',' order by place) as listed,
        sum(paid) filter (where state in ('paid', 'requested') and currency = first_currency) as paid,
        any_value(first_currency) as currency
    from (
        select *, first_value(currency) over (partition by return_id order by place) as first_currency from story_refunds
    )
    group by return_id
),

waits_of_returns as (
    select
        return_id,
        arg_min(code, (since, return_item_id)) as code,
        arg_min(until, (since, return_item_id)) as until,
        arg_min(must_act, (since, return_item_id)) as must_act,
        string_agg(to_json(struct_pack(
            return_item_id := return_item_id, code := code, words := words, reason := reason, reason_code := reason_code,
            since := instant_text(since), until := instant_text(until), verdict := verdict, must_act := must_act
        ))::varchar, ',' order by since, return_item_id) as listed
    from story_waits group by return_id
),

lines_of_returns as (
    select
        return_id, max("at") filter (where "at" <= $now) as changed_at,
        string_agg(
            to_json(struct_pack("at" := instant_text("at"), who := who, unit := unit, what := what))::varchar, ',' order by place
        ) as listed
    from story_lines group by return_id
),

exceptions_listed as (
    select
        return_id, count(*) filter (where state = 'open') as open_exceptions,
        arg_min(owner_team, (severity <> 'error', due_at, exception_id)) filter (where state = 'open') as owner_team,
        string_agg(to_json(struct_pack(
            exception_id := exception_id, kind := kind, state := state, owner_team := owner_team, severity := severity,
            currency := currency, amount := amount::varchar, opened_at := instant_text(opened_at), due_at := instant_text(due_at),
            detail := detail, next_step := next_step
        ))::varchar, ',' order by opened_at, kind, exception_id) as listed
    from story_exceptions group by return_id
)

select
    return_id,
    coalesce(heads.express_code, units.express_code) as express_code,
    to_json(orders.orders)::varchar as orders,
    coalesce(heads.state, 'not reported') as state,
    instant_text(heads.started_at) as started_at,
    instant_text(coalesce(lines.changed_at, heads.started_at, $now)) as changed_at,
    coalesce(units.units, 0) as units,
    coalesce(waits.code, case when troubles.open_exceptions > 0 then 'exception' end) as waits_for,
    instant_text(waits.until) as waits_until,
    coalesce(troubles.owner_team, waits.must_act, 'nobody') as must_act,
    coalesce(refunds.currency, units.currency) as currency,
    case when coalesce(refunds.currency, units.currency) is not null
            then coalesce(refunds.paid, 0)::decimal(18, 4)::varchar
    end as paid,
    coalesce(troubles.open_exceptions, 0) as open_exceptions,
    to_json(struct_pack(
        return_id := return_id,
        express_code := coalesce(heads.express_code, units.express_code),
        orders := orders.orders,
        state := heads.state,
        started_at := instant_text(heads.started_at),
        dropoff_method := heads.dropoff_method,
        must_act := coalesce(troubles.owner_team, waits.must_act, 'nobody'),
        units := json_list(units.listed),
        reports := json_list(reports.listed),
        sent := json_list(sent.listed),
        refunds := json_list(refunds.listed),
        waits := json_list(waits.listed),
        timeline := json_list(lines.listed),
        exceptions := json_list(troubles.listed)
    ))::varchar as story
from orders_of_returns as orders
left join heads using (return_id)
left join units_of_returns as units using (return_id)
left join reports_of_returns as reports using (return_id)
left join effects_of_returns as sent using (return_id)
left join refunds_of_returns as refunds using (return_id)
left join waits_of_returns as waits using (return_id)
left join lines_of_returns as lines using (return_id)
left join exceptions_listed as troubles using (return_id)
order by return_id;
