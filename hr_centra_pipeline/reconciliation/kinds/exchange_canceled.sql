-- changes: findings
-- kind:  exception
-- grain: one row per unit whose replacement was canceled, and about which nobody has decided
-- exception:    exchange_canceled
-- subject:      exchange
-- owner:        customer_service
-- window_hours: 0
-- precedence:   92
-- severity:     error
-- family:       exchange_gaps
-- asks:         goods_or_money
-- opens:        Our replacement order was canceled in Centra before it was shipped.
-- closes:       it is decided, the money was refunded on the Return, the unit is refused, or Happy Returns turns
--               the exchange into a refund (which is then paid on the Return that is there).

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
    'Someone canceled replacement order ' || coalesce(nullif(array_to_string(order_numbers, ', '), ''), '-')
    || ' in Centra: the shopper has neither goods nor money' as detail,
    'Ask who canceled it and why. ' || case
        when is_return_gone then 'Our Return is gone, too: to begin the exchange again, `hr-centra adopt ' || return_id || '`.'
        else 'To order it again: `hr-centra reorder '
            || return_item_id
            || '`. To refund it instead: `hr-centra pay-instead '
            || return_item_id || '`. Either, once.'
    end as next_step,
    evidence
from latest_replacements
where state = 'canceled' and refund_type = 'exchange' and not is_refused and decision is null
    and is_paid_instead is distinct from true;

-- closing
insert into proofs by name
select
    unseen.exception_id,
    coalesce(
        case
            when replacements.is_paid_instead then replacements.paid_instead_proof
            when replacements.decision is not null
                then proven_by(
                        'decided',
                        case replacements.decision when 'order_again' then 'to be ordered again' else 'to be paid' end
                        || ', decided by '
                        || replacements.decided_by
                    )
            when replacements.refund_type <> 'exchange'
                then proven_by('money_instead', 'Happy Returns refunds it instead')
            when replacements.state = 'shipped'
                then proven_by(
                        'shipped',
                        'replacement order ' || replacements.replacement_order_number || ' was shipped on '
                        || strftime(replacements.shipped_at, '%Y-%m-%d')
                    )
            when replacements.state = 'ordered'
                then proven_by(
                        'ordered_again', 'the replacement is ordered again: ' || replacements.replacement_order_number
                    )
            else coalesce(unseen.effect_proof, unseen.answer_proof)
        end,
        unseen.refusal_proof
    ) as proof
from unseen
left join unseen_replacements as replacements using (exception_id)
where unseen.kind = 'exchange_canceled';
