-- changes: findings
-- kind:  exception
-- grain: one row per unit that was refused although a refund row says that it is refunded
-- exception:    promised_item_refused
-- subject:      credit, exchange
-- owner:        customer_service
-- window_hours: 0
-- precedence:   81
-- severity:     error
-- family:       orphaned_returns
-- opens:        A refund row of Happy Returns says that the unit is refunded, and it was graded *wrong item* or
--               *missing*, its approval withdrawn, or its return failed, before anything was given for it in
--               Centra (a canceled replacement does not count).
-- closes:       the unit is not refused any more, the row is gone or has failed, or the unit was credited by hand.

-- One row per unit that was refused before anything was given for it, although a refund row of Happy Returns says that it is
-- refunded: no money leaves, and a shopper waits for it. A row that names no units is for those that were approved by then.
insert into findings by name
with
-- One row per unit and refund row that says it is refunded.
promised_refunds as (
    select refund_units.return_item_id, refunds.*
    from staging.refund_units
    join staging.refunds using (refund_id)
    semi join matching.orders_in_play using (order_number)
    where refunds.status in ('issued', 'pending')
    union by name
    select items.return_item_id, refunds.*
    from staging.return_items as items
    semi join matching.orders_in_play using (order_number)
    join staging.refunds as refunds using (return_id, order_number, refund_type)
    where refunds.status in ('issued', 'pending') and refunds.item_ids is null
        and coalesce(refunds.issued_at, refunds.source_time) <= items.approval_withdrawn_at
)

select
    'promised_item_refused' as kind,
    case items.refund_type when 'exchange' then 'exchange' else 'credit' end as subject,
    'fix_happy_returns' as class,
    'data_gap' as cause,
    'happy_returns' as culprit,
    items.return_id, items.return_item_id, items.order_number, matched.sku, matched.currency,
    matched.unit_price - coalesce(matched.voucher_share, 0) as amount,
    coalesce(
        case when refused.disposition is not null then items.disposition_at end,
        items.approval_withdrawn_at,
        items.source_time
    )
        as fact_at,
    case
        when refused.disposition is not null then 'Graded ' || items.disposition
        when items.approval_withdrawn_at is not null then 'Its approval was withdrawn'
        else 'Its return has failed'
    end || ' and not credited, although Happy Returns'' refund ' || promised_refunds.refund_id || ' of '
    || money_text(promised_refunds.total_refunded, promised_refunds.currency) || ' says that it is refunded'
    || case when promised_refunds.gift_card_id is not null then ', with a gift card that was issued' else '' end as detail,
    'Explain to the shopper why there is no refund, or refund it by hand in Centra; have Happy Returns correct the grade or '
    || 'the refund row.'
        as next_step,
    json_object(
        'source_file', items.source_file, 'source_line', items.source_line, 'refund_id', promised_refunds.refund_id,
        'disposition', items.disposition
    ) as evidence
from staging.return_items as items
semi join matching.orders_in_play using (order_number)
join matching.matched_items as matched using (return_item_id)
join effects.units as units using (return_item_id)
join promised_refunds using (return_item_id)
left join policy.refused_dispositions as refused on refused.disposition = items.disposition
where units.is_refused and items.return_item_id not in (
        select return_item_id from push.ledger
        where gives_value(effect_kind) and state in ('sending', 'unknown', 'confirmed')
            and return_item_id is not null
            -- A replacement that was canceled is nothing that was given, unless it was paid in its place.
            and (
                effect_key not in (select effect_key from effects.replacements where state = 'canceled')
                or return_item_id in (
                    select return_item_id from effects.value_given_back where given - elsewhere - chargeback > 0
                )
            )
    )
qualify row_number()
        over (
            partition by items.return_item_id
            order by coalesce(promised_refunds.issued_at, promised_refunds.source_time), promised_refunds.refund_id
        )
    = 1;

-- closing
insert into proofs by name
select
    unseen.exception_id,
    case
        when known.return_item_id is not null and not known.is_refused
            then proven_by('accepted', coalesce('graded ' || known.disposition, 'approved') || ' after all')
        when unseen.order_number in (from matching.orders_in_play)
            then proven_by('not_promised', 'no refund row reports it as refunded any longer, or it was credited')
        else unseen.refusal_proof
    end as proof
from unseen
left join known_units as known on known.return_item_id = unseen.return_item_id
where unseen.kind = 'promised_item_refused';
