-- makes: effects.pending_status_updates
-- kind:  table
-- grain: one row per return on an order and place whose latest milestone Centra does not show there
-- loop:  push.ledger: a note announces only credits that Centra has not refused; one that an earlier push began says so

-- One row per return on an order and place where the policy writes its state (`policy.status_targets`) whose latest milestone
-- Centra does not show there. Older milestones are skipped. An attribute holds one value: that of the return that began last.

-- What our texts call a return. Brackets and line ends would break the form by which our lines and values are found again.
create or replace temp macro about(express_code, return_id) as
left(without_keys(regexp_replace(coalesce(express_code, return_id), '[\[\]()\r\n]', ' ', 'g')), 100);

delete from effects.pending_status_updates;
insert into effects.pending_status_updates by name
with
-- One row per exchanged unit: its latest replacement.
last_replacements as (
    from effects.replacements
    semi join matching.orders_in_play using (order_number)
    qualify row_number() over (partition by return_item_id order by ordinal desc nulls last, effect_key) = 1
),

-- One row per return on an order: the replacement orders that its note names.
named_orders as (
    select
        return_id,
        order_number,
        string_agg(distinct replacement_order_number, ' ' order by replacement_order_number) as numbers
    from last_replacements where state <> 'canceled'
    group by return_id, order_number
),

-- Returns on an order of which Centra shows a replacement that the ledger has not taken over yet (our database was lost): the
-- next plan knows its orders. Until then nothing is written of them, or it would overwrite what names the orders.
unnamed_returns as (
    select distinct return_id, order_number
    from staging.return_items
    semi join matching.orders_in_play using (order_number)
    where effect_key('exchange_order', [return_item_id]) in (
            select effect_key
            from keys_in_centra
            anti join (select effect_key from push.ledger where state = 'confirmed') using (effect_key)
        )
),

milestones as (
    select
        items.return_id, items.order_number, items.return_item_id,
        case events.event
            when 'dropped_off' then 'dropped off'
            when 'received' then case when is_by_mail(items.dropoff_method) then 'received' else 'dropped off' end
            when 'departed' then 'in transit'
            when 'graded' then 'processed'
        end as milestone,
        case events.event when 'dropped_off' then 0 when 'received' then 1 when 'departed' then 2 else 3 end as rank,
        events.happened_at
    from staging.return_item_events as events
    join staging.return_items as items using (return_item_id)
    semi join matching.orders_in_play on orders_in_play.order_number = items.order_number
    where events.event in ('dropped_off', 'received', 'departed', 'graded')
    union all by name
    -- Refunded is what Centra shows as given (`keys_in_centra`: by the ledger, or read back), by us or by another user; so is a unit for
    -- which the money was refunded instead of the replacement.
    select
        units.return_id, units.order_number, units.return_item_id,
        case
            when items.refund_type <> 'exchange' or value.is_paid_instead then 'refunded'
            when last_replacements.state = 'canceled' then 'replacement canceled'
            else 'exchanged'
        end as milestone,
        4 as rank,
        case
            when last_replacements.state = 'canceled'
                then greatest(units.credit_due_at, last_replacements.order_updated_at)
            else units.credit_due_at
        end as happened_at
    from effects.units as units
    semi join matching.orders_in_play using (order_number)
    join staging.return_items as items using (return_item_id)
    join matching.matched_items as matched using (return_item_id)
    left join effects.value_given_back as value using (return_item_id)
    left join last_replacements on last_replacements.return_item_id = units.return_item_id
    where units.credit_due_at is not null and (
            effect_key(
                case items.refund_type when 'exchange' then 'exchange_order' else 'credit_note' end,
                [units.return_item_id]
            )
            in (select effect_key from keys_in_centra)
            or (
                matched.foreign_centra_return_id is not null
                and (items.refund_type <> 'exchange' or value.is_paid_instead)
            )
        )
),

-- How many units of each return on an order are credited: what is written about refunds counts them, so that a second refund
-- of one return is written too.
credit_counts as (
    select return_id, order_number, count(*) as units from milestones where rank = 4 group by return_id, order_number
),

-- Before a refund is sent it is announced, so that nobody refunds it by hand in between (a policy switch: it costs a mutation
-- per order). The announcement is replaced when the money was refunded, or when the refund is held back after all.
refund_announcements as (
    select
        credits.return_id, credits.order_number, any_value(credits.express_code) as express_code,
        bool_or(
            credits.blocked_by is null and credits.sendable_at <= $now and credits."mode" = 'live'
            and ledger.state is distinct from 'rejected' and modes.policy_mode <> 'approve'
            and credits.amount <= coalesce(limits.amount, credits.amount)
        ) as goes
    from effects.pending_credit_notes as credits
    semi join (select 1 as one from policy.parameters where in_flight_note) as switched_on on switched_on.one = 1
    join policy.modes on modes.effect_type = 'credit_note'
    left join policy.approval_limits as limits using (currency)
    left join push.ledger using (effect_key)
    where credits.pays_through <> 'elsewhere' and credits.effect_kind = 'credit_note'
    group by credits.return_id, credits.order_number
),

-- One row per return on an order of which Centra shows an announcement, wherever it is written.
shown_announcements as (
    select returns.return_id, returns.order_number
    from staging.returns
    join staging.orders as orders using (order_number)
    semi join matching.orders_in_play using (order_number)
    left join staging.status_marks as on_order on on_order.mark = 'order ' || returns.order_number
    left join staging.status_marks as on_customer on on_customer.mark = 'customer ' || orders.customer_id
    where exists (
            select 1
            from (
                select
                    unnest([orders.our_note, on_order.our_value, on_customer.our_note, on_customer.our_value]) as shown
            ) as texts
            cross join (select unnest([': refund under way', ': refund held back']) as words) as announcements
            where contains(shown, about(returns.express_code, returns.return_id) || words)
                or contains(
                    shown, about(returns.express_code, returns.return_id) || ' order ' || returns.order_number || words
                )
        )
),

about_refunds as (
    select
        return_id, order_number,
        case
            when refund_announcements.goes then 'refund under way'
            when shown_announcements.return_id is null then null
            when refund_announcements.return_id is not null then 'refund held back'
            when credit_counts.units > 0 then 'refunded'
        end as milestone,
        coalesce(refund_announcements.goes, false) as is_announcement,
        coalesce(credit_counts.units, 0) as units
    from refund_announcements
    full join shown_announcements using (return_id, order_number)
    left join credit_counts using (return_id, order_number)
),

latest_milestones as (
    select
        return_id, order_number, milestone, happened_at, is_announcement,
        milestone || case when is_about_refund and units > 0 then ' ' || units else '' end as told_as
    from (
        select
            milestones.return_id,
            milestones.order_number,
            milestone,
            happened_at,
            rank,
            false as is_about_refund,
            false as is_announcement,
            0 as units
        from milestones
        join effects.units as units using (return_item_id)
        where units.is_after_cutover
        union all by name
        select
            return_id, order_number, milestone, $now as happened_at, 9 as rank, true as is_about_refund, is_announcement,
            units
        from about_refunds where milestone is not null
    )
    qualify row_number() over (
            partition by return_id, order_number order by is_about_refund desc, happened_at desc, rank desc, milestone
        ) = 1
),

-- One row per return on an order and place, with the object that the place is on.
lines_of_places as (
    select
        latest_milestones.* replace (
            latest_milestones.milestone || coalesce(', replacement order ' || named_orders.numbers, '') as milestone
        ),
        latest_milestones.milestone as plain_milestone,
        targets.effect_kind,
        effect_key(targets.effect_kind, [
            latest_milestones.return_id,
            latest_milestones.order_number,
            told_as || coalesce(' ' || named_orders.numbers, '')
        ]) as effect_key,
        returns.express_code,
        returns.created_at as started_at,
        orders.customer_id,
        sets_an_attribute(targets.effect_kind) as is_attribute,
        is_on_the_customer(targets.effect_kind) as is_on_customer,
        case
            when is_on_customer
                then coalesce('customer ' || orders.customer_id, 'no customer of ' || latest_milestones.order_number)
            else latest_milestones.order_number
        end as object,
        about(returns.express_code, latest_milestones.return_id)
        || case when is_on_customer then ' order ' || latest_milestones.order_number else '' end
            as subject,
        latest_milestones.milestone
        || coalesce(', replacement order ' || named_orders.numbers, '')
        || ' '
        || strftime(happened_at, '%Y-%m-%d')
            as says
    from latest_milestones
    cross join policy.status_targets as targets
    join staging.orders as orders using (order_number)
    left join staging.returns as returns using (return_id, order_number)
    left join named_orders using (return_id, order_number)
),

lines_to_write as (
    select * from lines_of_places
    qualify not is_attribute or row_number() over (
            partition by effect_kind, object
            order by started_at desc nulls last, return_id desc, happened_at desc, order_number desc
        ) = 1
)

select
    lines_to_write.effect_key,
    lines_to_write.effect_kind,
    lines_to_write.object as group_key,
    lines_to_write.return_id,
    lines_to_write.order_number,
    1 as quantity,
    case
        when is_attribute then subject || ': ' || says || ' (' || lines_to_write.effect_key || ')'
        else '[hr-centra ' || lines_to_write.effect_key || ' ' || subject || ': ' || says || ']'
    end as "text",
    express_code,
    happened_at as trigger_at,
    happened_at as sendable_at,
    modes."mode",
    no_customer.sentence as blocked_by,
    no_customer.code as blocked_code,
    coalesce(ledger.state, 'planned') as state,
    json_object(
        'milestone', plain_milestone, 'says', says, 'about', subject, 'customer_id', customer_id,
        'is_announcement', is_announcement
    ) as evidence
from lines_to_write
join policy.modes on modes.effect_type = 'status_update'
left join policy.reasons as no_customer
    on no_customer.code = 'no_customer' and lines_to_write.is_on_customer and lines_to_write.customer_id is null
left join push.ledger on ledger.effect_key = lines_to_write.effect_key
anti join
    unnamed_returns
    on unnamed_returns.return_id = lines_to_write.return_id
        and unnamed_returns.order_number = lines_to_write.order_number
where lines_to_write.effect_key not in (select effect_key from keys_in_centra);
