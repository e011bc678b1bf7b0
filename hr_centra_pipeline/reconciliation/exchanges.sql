-- makes: latest_replacements
-- changes: findings
-- kind:  table
-- grain: one row per exchange that is not ordered, differs, was canceled or does not leave

-- A shopper who waits for the replacement: it is not ordered, was refused, differs from what was meant, was canceled, or does
-- not leave.
insert into findings by name
select
    'exchange_without_order' as kind,
    'exchange' as subject,
    class, cause, culprit, return_id, return_item_id, order_number, sku, currency,
    unit_price as amount,
    sendable_at as fact_at,
    case
        when why_code = 'due_by_settings'
            then 'The exchange of ' || strftime(trigger_at, '%Y-%m-%d')
                || ': no replacement is ordered: '
        else 'The exchange was due on ' || strftime(trigger_at, '%Y-%m-%d') || ' and no replacement is ordered: '
    end || why as detail,
    next_step,
    evidence
from missing_effects
where effect_kind = 'exchange_order';

insert into findings by name
select
    'exchange_refused' as kind,
    'exchange' as subject,
    'fix_centra' as class,
    'system_error' as cause,
    'centra' as culprit,
    units.return_id,
    units.return_item_id,
    units.order_number,
    units.sku,
    units.currency,
    units.unit_price as amount,
    ledger.updated_at as fact_at,
    'Centra refused the replacement order: ' || coalesce(ledger.reason, 'no reason given') as detail,
    'Mend what Centra names, or offer the shopper another article or the money. It is tried again when the return or the policy changes.'
        as next_step,
    json_merge_patch(units.evidence, json_object('effect_key', effect_key, 'packet_key', packet_key)) as evidence
from push.ledger
join known_units as units using (return_item_id)
where ledger.state = 'rejected' and ledger.effect_kind = 'exchange_order';

-- Read back before our Return is completed: what differs is held until a person corrects or accepts it.
insert into findings by name
select
    'exchange_differs' as kind,
    'exchange' as subject,
    'fix_centra' as class,
    'data_gap' as cause,
    'centra' as culprit,
    units.return_id,
    units.return_item_id,
    units.order_number,
    units.sku,
    units.currency,
    units.unit_price as amount,
    packets.created_at as fact_at,
    'The replacement is not what was meant: order '
    || array_to_string(from_json(packets.payload -> 'order_numbers', '["varchar"]'), ', ') || ' differs in '
    || array_to_string(from_json(packets.payload -> 'differs', '["varchar"]'), ', ') as detail,
    'Correct the order in Centra before it is shipped: the next sync compares again and goes on. To accept it as it is: `hr-centra approve '
    || packets.packet_key || '`.' as next_step,
    json_merge_patch(units.evidence, json_object(
        'effect_key', ledger.effect_key, 'packet_key', packets.packet_key, 'differs', packets.payload -> 'differs'
    )) as evidence
from push.packets
join push.ledger using (packet_key)
join known_units as units using (return_item_id)
where packets.trouble = 'differs' and ledger.state in ('sending', 'unknown');

-- One row per unit: its latest replacement that is confirmed, and what a person has decided about it.
create or replace temp table latest_replacements as
select
    units.* exclude (evidence), replacements.* exclude (return_item_id, return_id, order_number), decisions.decision,
    decisions.decided_by, value.is_paid_instead, gone_returns.centra_return_id is not null as is_return_gone,
    json_merge_patch(units.evidence, json_object(
        'replacement_key', replacements.effect_key, 'replacement_orders', replacements.order_numbers,
        'centra_return_id', replacements.centra_return_id
    )) as evidence
from effects.replacements as replacements
join known_units as units using (return_item_id)
left join effects.value_given_back as value using (return_item_id)
left join
    push.exchange_decisions
        as decisions
    on decisions.return_item_id = replacements.return_item_id
        and decisions.ordinal = replacements.ordinal
left join gone_returns on gone_returns.centra_return_id = replacements.centra_return_id
qualify row_number() over (
        partition by replacements.return_item_id order by replacements.ordinal desc nulls last, replacements.effect_key
    ) = 1;

-- One row per unit of which Happy Returns asks for another article than was ordered. Which article a person orders by hand, or
-- puts into the order, is that person's decision.
insert into findings by name
with
sent as (
    select
        packet_key,
        replacement ->> 'sku' as sku,
        unnest(from_json(replacement -> 'members', '["varchar"]')) as effect_key
    from (
        select packet_key, unnest(from_json(payload -> 'replacements', '["json"]')) as replacement
        from push.packets
        where packet_key in (
                select packet_key
                from push.ledger
                where effect_key in (select evidence ->> 'replacement_key' from latest_replacements)
            )
    )
)

select
    'corrected_after_credit' as kind,
    'exchange' as subject,
    'fix_centra' as class,
    'data_gap' as cause,
    'happy_returns' as culprit,
    latest.return_id, latest.return_item_id, latest.order_number, latest.sku, latest.currency,
    latest.unit_price as amount,
    items.source_time as fact_at,
    latest.replacement_sku
    || ' was ordered as its replacement (order '
    || coalesce(latest.replacement_order_number, '-')
    || case latest.state when 'shipped' then ', shipped' else '' end
    || '); Happy Returns now asks for '
    || items.exchange_sku as detail,
    'Ask the shopper which article is wanted. If it is ' || items.exchange_sku || case latest.state
        when 'shipped' then ': settle it by hand, then write this off in the workbook.'
        else ': put it into the replacement order in place of '
            || latest.replacement_sku
            || ' before it is shipped. Else have Happy '
            || 'Returns correct the row.'
    end as next_step,
    json_merge_patch(latest.evidence, json_object(
        'source_file', items.source_file, 'source_line', items.source_line, 'ordered_sku', latest.replacement_sku,
        'asked_sku', items.exchange_sku
    )) as evidence
from latest_replacements as latest
join staging.return_items as items using (return_item_id)
join push.ledger on ledger.effect_key = (latest.evidence ->> 'replacement_key') and ledger.packet_key is not null
left join sent on sent.packet_key = ledger.packet_key and sent.effect_key = ledger.effect_key
where latest.state in ('ordered', 'shipped') and items.refund_type = 'exchange'
    and latest.replacement_sku <> items.exchange_sku
    and sent.sku is distinct from items.exchange_sku
    and latest.return_item_id not in (
        select return_item_id from findings where kind = 'corrected_after_credit' and subject = 'exchange'
    );

-- Neither goods nor money: a person decides which, once.
insert into findings by name
select
    'exchange_canceled' as kind,
    'exchange' as subject,
    'fix_centra' as class,
    'data_gap' as cause,
    'person' as culprit,
    return_id, return_item_id, order_number, sku, currency,
    unit_price as amount,
    coalesce(order_updated_at, $now) as fact_at,
    'Somebody canceled replacement order ' || coalesce(nullif(array_to_string(order_numbers, ', '), ''), '-')
    || ' in Centra: the shopper has neither goods nor money' as detail,
    'Ask who canceled it and why. ' || case
        when
            is_return_gone
            then 'Our Return is gone, too: to begin the exchange again, `hr-centra adopt ' || return_id || '`.'
        else 'To order it again: `hr-centra reorder '
            || return_item_id
            || '`. To give the money: `hr-centra pay-instead '
            || return_item_id || '`. Either, once.'
    end as next_step,
    evidence
from latest_replacements
where state = 'canceled' and refund_type = 'exchange' and not is_refused and decision is null
    and is_paid_instead is distinct from true;

-- One row per exchange that somebody refunded without being asked: no goods were sent, and no person has said what the refund is.
-- A person who was asked before (an exception of the exchange was open) and then refunded has decided.
insert into findings by name
with
payments as (
    select centra_return_id, min(created_at) as paid_at
    from staging.payment_entries
    semi join matching.orders_in_play using (order_number)
    where centra_return_id is not null and policy.is_given(money)
    group by centra_return_id
),

asked as (
    select subject::json ->> 'return_item_id' as return_item_id, min("at") as asked_at
    from reconciliation.exception_events
    where kind like 'exchange%' and event = 'opened' and kind <> 'exchange_not_shipped'
    group by all
)

select
    'exchange_without_order' as kind,
    'exchange' as subject,
    'accept' as class,
    'data_gap' as cause,
    coalesce(returns.made_by, 'person') as culprit,
    units.return_id, units.return_item_id, units.order_number, units.sku, units.currency,
    units.unit_price as amount,
    payments.paid_at as fact_at,
    'Somebody refunded all of it by hand, on Return '
    || payments.centra_return_id
    || ': the shopper wants an exchange, and no replacement is ordered'
        as detail,
    'Ask the shopper. Money: `hr-centra tie '
    || units.return_item_id
    || ' --money`, or have Happy Returns make it a refund. Goods that were sent '
    || 'by hand: `hr-centra tie ORDER --order --unit ' || units.return_item_id || '`.' as next_step,
    json_merge_patch(units.evidence, json_object('centra_return_id', payments.centra_return_id)) as evidence
from known_units as units
join effects.value_given_back as value using (return_item_id)
left join latest_replacements as latest using (return_item_id)
join payments on payments.centra_return_id = coalesce(units.foreign_centra_return_id, latest.centra_return_id)
left join staging.centra_returns as returns on returns.centra_return_id = units.foreign_centra_return_id
left join asked using (return_item_id)
where units.refund_type = 'exchange'
    and value.is_paid_instead
    and units.credit_due_at is not null
    and not units.is_refused
    and len(coalesce(latest.order_numbers, [])) = 0 -- nothing was ordered, or canceled, either
    and latest.decision is null
    and (asked.asked_at is null or asked.asked_at > payments.paid_at)
    and units.return_item_id not in (
        select return_item_id from push.ties where what in ('money', 'order') and return_item_id is not null
    );

insert into findings by name
select
    'exchange_not_shipped' as kind,
    'exchange' as subject,
    'timing' as class,
    'logistics_delay' as cause,
    'logistics' as culprit,
    latest.return_id, latest.return_item_id, latest.order_number, latest.sku, latest.currency,
    unit_price as amount,
    ordered_at as fact_at,
    'Replacement order '
    || coalesce(replacement_order_number, '-')
    || ' was made on '
    || strftime(ordered_at, '%Y-%m-%d')
    || ' and is not shipped: ' || case
        when latest.shipment_id is null then 'Centra shows no shipment of it'
        when with_refused.shipment_id is not null
            then 'its shipment ' || latest.shipment_id
                || ' is held, since it also holds the replacement of '
                || with_refused.return_item_id
                || ', which was refused'
        when releases.effect_key is not null
            then 'its shipment ' || latest.shipment_id || ' is not marked as '
                || replace(releases."text", '_', ' ') || coalesce(' (' || release_ledger.reason || ')', '')
        else 'its shipment ' || latest.shipment_id || ' has not left'
    end as detail,
    case
        when with_refused.shipment_id is not null
            then 'Take the refused replacement out of the order in Centra, or release the shipment by hand with both.'
        else 'Find out in the warehouse why it does not leave: no stock, no shipment, not released, or forgotten.'
    end as next_step,
    latest.evidence
from latest_replacements as latest
-- One mark sends off all that a shipment holds: the release waits for a person.
left join (
    select shipment_id, min(return_item_id) as return_item_id
    from latest_replacements where is_refused and shipment_id is not null group by shipment_id
) as with_refused using (shipment_id)
left join
    effects.pending_exchange_orders
        as releases
    on releases.effect_kind = 'exchange_release'
        and releases.return_item_id = latest.return_item_id
left join push.ledger as release_ledger on release_ledger.effect_key = releases.effect_key
where latest.state = 'ordered' and not is_refused;
