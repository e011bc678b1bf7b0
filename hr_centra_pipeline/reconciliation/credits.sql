-- changes: findings
-- kind:  table
-- grain: one row per unit whose credit is missing, or that was credited and is refused

-- changes: findings
-- kind:  table
-- grain: one row per unit whose credit is missing, or that was credited and is refused

-- return_without_credit_note and credited_item_refused: the money of a unit.
insert into findings by name
select
    'return_without_credit_note' as kind,
    'credit' as subject,
    class, cause, culprit, return_id, return_item_id, order_number, sku, currency, amount,
    sendable_at as fact_at,
    -- What only the settings have made due was not due on its date.
    case
        when
            why_code = 'due_by_settings'
            then 'The credit of ' || strftime(trigger_at, '%Y-%m-%d') || ' is not in Centra: '
        else 'The credit was due on ' || strftime(trigger_at, '%Y-%m-%d') || ' and is not in Centra: '
    end || why as detail,
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
        replaced.parent_id,
        string_agg(replaced.return_item_id, ', ' order by replaced.return_item_id) as return_item_ids
    from replaced
    join effects.units as units using (return_item_id)
    where units.credit_due_at is not null and not units.is_refused
    group by replaced.parent_id
) as back on back.parent_id = units.return_item_id and ledger.effect_kind = 'exchange_order'
where ledger.effect_kind in ('credit_note', 'exchange_order') and ledger.state = 'confirmed' and units.is_refused
    and coalesce(disposition_at, approval_withdrawn_at) is not null
    -- A replacement that was canceled has not left.
    and ledger.effect_key not in (select effect_key from effects.replacements where state = 'canceled');

-- One row per unit that was refused before anything was given for it, although a refund row of Happy Returns says that it is
-- refunded: no money leaves, and a shopper waits for it. A row that names no units is for those that were approved by then.
insert into findings by name
with
promised as (
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
    end || ' and not credited, although Happy Returns'' refund ' || promised.refund_id || ' of '
    || money_text(promised.total_refunded, promised.currency) || ' says that it is refunded'
    || case when promised.gift_card_id is not null then ', with a gift card that was given' else '' end as detail,
    'Tell the shopper why no money comes, or give it by hand in Centra; have Happy Returns correct the grade or the refund row.'
        as next_step,
    json_object(
        'source_file', items.source_file, 'source_line', items.source_line, 'refund_id', promised.refund_id,
        'disposition', items.disposition
    ) as evidence
from staging.return_items as items
semi join matching.orders_in_play using (order_number)
join matching.matched_items as matched using (return_item_id)
join effects.units as units using (return_item_id)
join promised using (return_item_id)
left join policy.refused_dispositions as refused on refused.disposition = items.disposition
where units.is_refused and items.return_item_id not in (
        select return_item_id from push.ledger
        where effect_kind in ('credit_note', 'exchange_order') and state in ('sending', 'unknown', 'confirmed')
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
            order by coalesce(promised.issued_at, promised.source_time), promised.refund_id
        )
    = 1;
