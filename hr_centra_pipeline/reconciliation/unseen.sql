-- makes: unseen, unseen_replacements, unseen_mismatches, proven_by
-- kind:  step
-- grain: one row per exception that was open and is not found any more

-- What the closings of the kinds look at. That nothing is found any more closes nothing: only a proof does.

-- What proves that an exception is over: a code, and the sentence that the history keeps. Without a sentence it is not proof.
create or replace temp macro proven_by(code, sentence) as
case when sentence is not null then { 'code': code, 'sentence': sentence } end;

create or replace temp table unseen as
with
missing_exceptions as (
    select
        exception_id, kind, told ->> 'subject' as subject, told ->> 'identity' as identity,
        told ->> 'return_id' as return_id,
        told ->> 'return_item_id' as return_item_id,
        told ->> 'order_number' as order_number,
        told ->> 'currency' as currency, (told -> 'evidence') ->> 'effect_key' as effect_key
    from past_exceptions
    anti join open_now using (exception_id)
    where is_open
)

select
    missing_exceptions.*,
    ledger.state as effect_state,
    coalesce(ledger.reason_code = 'waits_for_credit', false) as waits_for_its_credit,
    -- The effect that it is about is done, or not due any more.
    case
        when ledger.state = 'confirmed'
            then proven_by(
                    'in_centra',
                    'the '
                    || effect_text(ledger.effect_kind)
                    || ' is in Centra: '
                    || coalesce(ledger.centra_id, 'observed')
                )
        -- that unit or order are not reported any more does not make it undue
        when ledger.state = 'withdrawn' and exists (
                from staging.return_items as items
                semi join staging.orders using (order_number)
                where items.return_id = missing_exceptions.return_id and items.order_number = missing_exceptions.order_number
                    and coalesce(missing_exceptions.return_item_id, items.return_item_id) = items.return_item_id
            )
            then proven_by('not_due', 'the ' || effect_text(ledger.effect_kind) || ' is not due any more')
    end as effect_proof,
    -- Centra has refused it, which is a kind of its own.
    case when ledger.state = 'rejected' then proven_by('refused_by_centra', 'Centra has answered: refused') end
        as answer_proof,
    case
        when known.is_refused and missing_exceptions.subject in ('credit', 'exchange')
            then proven_by('refused', 'refused by Happy Returns: nothing is due')
    end as refusal_proof
from missing_exceptions
left join push.ledger as ledger on ledger.effect_key = missing_exceptions.effect_key
left join known_units as known on known.return_item_id = missing_exceptions.return_item_id;

-- One row per exception of an exchange: what became of the unit's replacement, and the money that was given instead.
create or replace temp table unseen_replacements as
select
    unseen.exception_id,
    replacements.state,
    replacements.decision,
    replacements.decided_by,
    replacements.refund_type,
    replacements.replacement_order_number,
    replacements.shipped_at,
    (unseen.effect_state is distinct from 'confirmed')
    and unseen.return_item_id in (select return_item_id from effects.value_given_back where is_paid_instead)
        as is_paid_instead,
    proven_by(
        'paid_instead',
        'the money was refunded instead: Return '
        || coalesce(matched.foreign_centra_return_id, replacements.centra_return_id)
    ) as paid_instead_proof
from unseen
left join latest_replacements as replacements on replacements.return_item_id = unseen.return_item_id
left join matching.matched_items as matched on matched.return_item_id = unseen.return_item_id
semi join policy.exception_kinds as rules on rules.kind = unseen.kind and rules.family = 'exchange_gaps';

-- One row per mismatch: whether its refund has failed, and whether the sides agree by now or another kind says it.
create or replace temp table unseen_mismatches as
select
    unseen.exception_id, unseen.kind, unseen.subject, unseen.identity,
    case
        when exists (
                from staging.refunds
                where refunds.return_id = unseen.return_id
                    and refunds.order_number = unseen.order_number
                    and refunds.status = 'failed'
            ) and not exists (
                from staging.refunds
                where refunds.return_id = unseen.return_id
                    and refunds.order_number = unseen.order_number
                    and refunds.status <> 'failed'
            ) then proven_by('refund_failed', 'the refund has failed at Happy Returns')
    end as failure_proof,
    case
        when matched.is_compared and (matched.culprit is null or matched.within_tolerance)
            then proven_by('agree', 'the sides agree within the tolerance')
        when matched.is_compared and matched.culprit = 'provider'
            then proven_by('payout', 'became payout_mismatch')
        when matched.is_compared then proven_by('tax', 'became refund_mismatch_tax')
    end as agreement_proof
from unseen
left join reconciliation.refund_match as matched
    on matched.return_id is not distinct from unseen.return_id
        and matched.order_number = unseen.order_number
        and matched.component = unseen.subject
        and matched.currency is not distinct from unseen.currency
semi join policy.exception_kinds as rules on rules.kind = unseen.kind and rules.component is not null;
