-- return_without_credit_note and credited_item_refused: the money of a unit.
insert into findings by name
select
    'return_without_credit_note' as kind,
    'credit' as subject,
    class, cause, culprit, return_id, return_item_id, order_number, sku, currency, amount,
    sendable_at as fact_at,
    'The credit was due on ' || strftime(trigger_at, '%Y-%m-%d') || ' and is not in Centra: ' || why as detail,
    next_step,
    evidence
from missing_effects
where effect_kind = 'credit_note';

-- One row per unit whose money (or replacement) went out, and that came back wrong, or not at all. No claw-back.
insert into findings by name
select
    'credited_item_refused' as kind,
    case ledger.effect_kind when 'exchange_order' then 'exchange' else 'credit' end as subject,
    'accept' as class,
    'data_gap' as cause,
    'happy_returns' as culprit,
    units.return_id,
    units.return_item_id,
    units.order_number,
    units.sku,
    units.currency,
    case ledger.effect_kind when 'exchange_order' then units.unit_price else coalesce(ledger.amount, units.unit_price - units.voucher_share) end
        as amount,
    coalesce(case when refused.disposition is not null then disposition_at end, approval_withdrawn_at, disposition_at) as fact_at,
    case
        when refused.disposition is not null then 'Graded ' || units.disposition
        else 'Its approval was withdrawn'
    end || ' after ' || case ledger.effect_kind when 'exchange_order' then 'the replacement was sent' else 'the money was given back' end as detail,
    'Decide with customer service: charge the shopper, claim it from Happy Returns, or accept the loss.' as next_step,
    json_merge_patch(units.evidence, json_object('centra_id', ledger.centra_id, 'effect_key', ledger.effect_key)) as evidence
from known_units as units
join push.ledger using (return_item_id)
left join policy.refused_dispositions as refused on refused.disposition = units.disposition
where ledger.effect_kind in ('credit_note', 'exchange_order') and ledger.state = 'confirmed' and units.is_refused
    and coalesce(disposition_at, approval_withdrawn_at) is not null
    -- A replacement that was canceled has not left.
    and ledger.effect_key not in (select effect_key from effects.replacements where state = 'canceled');
