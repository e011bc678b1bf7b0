-- changes: findings
-- kind:  exception
-- grain: one row per effect that Centra refused
-- exception:    rejected_write
-- subject:      credit, stock, exchange, status
-- owner:        data
-- window_hours: 0
-- precedence:   70
-- severity:     error
-- family:       none
-- opens:        Centra refused one of our credits, stock movements or notes.
-- closes:       the effect is confirmed, or no longer due.

-- rejected_write: Centra refused one of our calls; it is not sent again until its input or the policy changes.
insert into findings by name
with
refused_effects as (
    select * from push.ledger where state = 'rejected' and effect_kind <> 'exchange_order'
),

-- Fees, shipping and notes belong to a return on an order: reported only when none of its units reports the same.
reported_refusals as (
    select * from refused_effects where return_item_id is not null
    union all
    select * from refused_effects as alone where alone.return_item_id is null and not exists (
            select 1 from refused_effects as units
            where units.return_item_id is not null
                and units.return_id = alone.return_id
                and units.order_number = alone.order_number
        )
)

select
    'rejected_write' as kind,
    policy.subject_of(effect_kind) as subject,
    effect_key as identity,
    'fix_centra' as class,
    case when (packets.payload ->> 'differs_in') is not null then 'amount_mismatch' else 'system_error' end as cause,
    'centra' as culprit,
    reported_refusals.return_id,
    reported_refusals.return_item_id,
    reported_refusals.order_number,
    units.sku,
    case when policy.subject_of(effect_kind) <> 'status' then coalesce(reported_refusals.currency, units.currency) end as currency,
    case
        when policy.subject_of(effect_kind) = 'status' then null
        when is_worth_its_unit(effect_kind) then units.unit_price
        else reported_refusals.amount
    end as amount,
    reported_refusals.updated_at as fact_at,
    'Centra refused the ' || effect_text(effect_kind) || ': ' || coalesce(reason, 'no reason given') as detail,
    case when (packets.payload ->> 'differs_in') = 'tax'
            then 'Is the tax engine up, and is its tax right? It is tried again once a day, and when [tax] in the policy '
                || 'allows more; '
                || 'else credit it by hand in Centra.'
        else 'Fix in Centra what the message names, or do it by hand there. It is retried when the return or the policy changes.'
    end as next_step,
    json_merge_patch(coalesce(units.evidence, '{}'), json_object('effect_key', effect_key, 'packet_key', packet_key))
        as evidence
from reported_refusals
left join push.packets using (packet_key)
left join known_units as units using (return_item_id);

-- closing
insert into proofs by name
select
    exception_id,
    coalesce(
        effect_proof,
        case
            when effect_state = 'planned'
                then proven_by('planned_again', 'planned again after its input or the policy changed')
        end,
        refusal_proof
    ) as proof
from unseen
where kind = 'rejected_write';
