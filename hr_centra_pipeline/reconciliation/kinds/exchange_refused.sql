-- changes: findings
-- kind:  exception
-- grain: one row per replacement order that Centra refused
-- exception:    exchange_refused
-- subject:      exchange
-- owner:        customer_service
-- window_hours: 0
-- precedence:   90
-- severity:     error
-- family:       exchange_gaps
-- asks:         goods_or_money
-- opens:        Centra's Order API refused the replacement order.
-- closes:       the replacement is ordered, or the money was refunded instead.

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
    'Fix what Centra names, or offer the shopper another article or the money. It is tried again when the return or the '
    || 'policy changes.'
        as next_step,
    json_merge_patch(units.evidence, json_object('effect_key', effect_key, 'packet_key', packet_key)) as evidence
from push.ledger
join known_units as units using (return_item_id)
where ledger.state = 'rejected' and ledger.effect_kind = 'exchange_order';

-- closing
insert into proofs by name
select
    unseen.exception_id,
    coalesce(
        case
            when replacements.is_paid_instead then replacements.paid_instead_proof
            else coalesce(
                    unseen.effect_proof,
                    case
                        when unseen.effect_state = 'planned'
                            then proven_by('planned_again', 'planned again after its input or the policy changed')
                    end
                )
        end,
        unseen.refusal_proof
    ) as proof
from unseen
left join unseen_replacements as replacements using (exception_id)
where unseen.kind = 'exchange_refused';
