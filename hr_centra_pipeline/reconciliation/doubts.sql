-- write_in_doubt and guard_breached: what the push cannot settle by itself, and what a guard has stopped.

-- One row per effect whose outcome is not known; fees and shipping only when no unit travels with them.
insert into findings by name
with
doubtful as (
    select
        ledger.*, packets.operation, packets.step, packets.trouble, packets.message,
        coalesce(packets.created_at, ledger.updated_at) as since, packets.payload ->> 'order_number' as of_order,
        packets.payload ->> 'rows_issued' as rows_issued, coalesce((packets.payload ->> 'payments_allowed')::bigint, 0) as payments_allowed
    from push.ledger
    left join push.packets using (packet_key)
    where ledger.state in ('sending', 'unknown') and packets.trouble is distinct from 'differs' -- a kind of its own
),

told as (
    select * from doubtful where return_item_id is not null
    union all
    select * from doubtful as alone where alone.return_item_id is null and not exists (
        select 1 from doubtful as units where units.return_item_id is not null and units.packet_key = alone.packet_key
    )
)

select
    'write_in_doubt' as kind,
    subject_of(effect_kind) as subject,
    case when told.return_item_id is null then effect_key end as identity,
    case when trouble is null then 'timing' else 'fix_centra' end as class,
    case when trouble in ('gone', 'canceled', 'number_taken') then 'data_gap' else 'system_error' end as cause,
    case when trouble in ('gone', 'canceled', 'number_taken') then 'person' when trouble = 'unpaid' then 'provider' else 'centra' end as culprit,
    told.return_id, told.return_item_id, coalesce(told.order_number, told.of_order) as order_number, units.sku,
    case when subject_of(effect_kind) <> 'status' then coalesce(told.currency, units.currency) end as currency,
    case
        when subject_of(effect_kind) = 'status' then null
        when effect_kind in ('inventory_adjustment', 'exchange_release') then units.unit_price
        else told.amount
    end as amount,
    told.since as fact_at,
    'The outcome of the ' || replace(effect_kind, '_', ' ') || ' in Centra is not known, at ' || coalesce(step, 'an unknown step') || ': '
        || coalesce(message, reason, 'no answer') as detail,
    case trouble
        when 'gone' then 'Somebody deleted our Return in Centra: ask why. To make it again: `hr-centra adopt` the return.'
        when 'canceled' then 'The replacement is not in Centra any more: ask why. To order it again: `hr-centra adopt` the return.'
        when 'number_taken' then 'Look at the order with that number: if it is the replacement, `hr-centra tie` it to the unit; else free our range.'
        when 'unpaid' then case
            when rows_issued is not null and payments_allowed = 0 then
                'Ask Happy Returns, or who paid these refunds at that time, whether the shopper was paid. Only if nobody paid: '
                || '`hr-centra approve` the packet for one call.'
            else 'Look at the payment provider. Not paid: refund the Return in Centra by hand, or `hr-centra approve` the packet for one more call.'
        end
        when 'refused' then 'Do in Centra what it refused, or mend what it names and `hr-centra approve` the packet.'
        when 'not_ours' then 'Look at what carries our key in Centra, and delete what is wrong there.'
        else 'Nothing: every sync looks it up, and sends it again only when it is proven absent.'
    end as next_step,
    json_merge_patch(coalesce(units.evidence, '{}'), json_object(
        'effect_key', effect_key, 'packet_key', packet_key, 'step', step, 'trouble', trouble, 'centra_id', told.centra_id
    )) as evidence
from told
left join known_units as units using (return_item_id);

-- One row per guard that stopped an effect type in the last push; the kill switch is one of them.
insert into findings by name
select
    'guard_breached' as kind,
    subject_of(effect_type) as subject,
    concat_ws(' ', effect_type, split_part(guard, ':', 1), currency) as identity,
    'fix_pipeline' as class,
    case when starts_with(guard, 'contract') then 'system_error' else 'policy_gap' end as cause,
    case when starts_with(guard, 'contract') then 'centra' when starts_with(guard, 'surge') then 'unknown' else 'policy' end as culprit,
    currency, amount,
    breached_at as fact_at,
    detail || ' (' || effects || ' effects wait); nothing of '
        || case when contains(guard, ' ') and starts_with(guard, 'contract') then 'it' else 'this type' end || ' is sent' as detail,
    case
        when starts_with(guard, 'contract') then
            '`hr-centra doctor` lists what does not fit and what to set. It is looked at again each day, and as soon as the policy changes.'
        else 'Find out why there is so much: a setting at Happy Returns, a peak, a mistake. If it is right: `hr-centra raise ' || effect_type
            || '` lets it through once.'
    end as next_step,
    json_object('guard', guard, 'effects', effects, 'allowed', allowed, 'mode', last_push.mode, 'push_id', push_id) as evidence
from push.breaches
join last_push using (push_id)
union all by name
select
    'guard_breached' as kind, 'credit' as subject, 'kill switch' as identity, 'accept' as class, 'policy_gap' as cause,
    'person' as culprit, started_at as fact_at, 'Nothing is sent: ' || halted as detail,
    'When the reason is gone, remove the file: the next sync carries on.' as next_step,
    json_object('push_id', push_id, 'mode', mode) as evidence
from last_push where starts_with(halted, 'the kill switch');
