-- changes: findings
-- kind:  exception
-- grain: one row per unit whose money or replacement went out, and that was refused afterwards
-- exception:    credited_item_refused
-- subject:      credit, exchange
-- owner:        finance
-- window_hours: 0
-- precedence:   80
-- severity:     error
-- family:       none
-- measure:      over_credits_found
-- opens:        The money was given back (or the replacement sent), and then the unit was graded *wrong item*
--               or *missing*, or its approval was withdrawn.
-- closes:       the grade is corrected, the approval returns, or the replacement is canceled before it was
--               shipped.

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
    case ledger.effect_kind
        when 'exchange_order' then units.unit_price else coalesce(ledger.amount, units.unit_price - units.voucher_share)
    end
        as amount,
    coalesce(case when refused.disposition is not null then disposition_at end, approval_withdrawn_at, disposition_at)
        as fact_at,
    case
        when refused.disposition is not null then 'Graded ' || units.disposition
        else 'Its approval was withdrawn'
    end
    || ' after '
    || case ledger.effect_kind when 'exchange_order' then 'the replacement was sent' else 'the money was given back' end
    || coalesce('; its replacement has come back (' || back.return_item_ids || '), for which we refund nothing', '')
        as detail,
    'Decide with customer service: charge the shopper, claim it from Happy Returns, or accept the loss.' as next_step,
    json_merge_patch(units.evidence, json_object('centra_id', ledger.centra_id, 'effect_key', ledger.effect_key))
        as evidence
from known_units as units
join push.ledger using (return_item_id)
left join policy.refused_dispositions as refused on refused.disposition = units.disposition
left join (
    select
        exchange_links.parent_id,
        string_agg(exchange_links.return_item_id, ', ' order by exchange_links.return_item_id) as return_item_ids
    from exchange_links
    join effects.units as units using (return_item_id)
    where units.credit_due_at is not null and not units.is_refused
    group by exchange_links.parent_id
) as back on back.parent_id = units.return_item_id and ledger.effect_kind = 'exchange_order'
where gives_value(ledger.effect_kind) and ledger.state = 'confirmed' and units.is_refused
    and coalesce(disposition_at, approval_withdrawn_at) is not null
    -- A replacement that was canceled has not left.
    and ledger.effect_key not in (select effect_key from effects.replacements where state = 'canceled');

-- closing
insert into proofs by name
select
    unseen.exception_id,
    coalesce(
        case
            when unseen.subject = 'exchange' and exchange_links.state = 'canceled'
                then proven_by('canceled', 'the replacement was canceled before it left')
        end,
        unseen.effect_proof,
        unseen.answer_proof,
        case
            when not known.is_refused then proven_by('graded', 'graded ' || known.disposition || ' after all')
            else unseen.refusal_proof
        end
    ) as proof
from unseen
left join known_units as known on known.return_item_id = unseen.return_item_id
left join latest_replacements as exchange_links on exchange_links.return_item_id = unseen.return_item_id
where unseen.kind = 'credited_item_refused';
