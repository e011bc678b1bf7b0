-- changes: findings
-- kind:  exception
-- grain: one row per exchange that is due and has no replacement order
-- loop:  reconciliation.exception_events: since when a replacement is asked for is when it was first in trouble
-- exception:    exchange_without_order
-- subject:      exchange
-- owner:        customer_service
-- window_hours: 24
-- precedence:   132
-- severity:     warning
-- family:       exchange_gaps
-- asks:         goods_or_money
-- counterpart:  replacement_order
-- opens:        The exchange was approved and no replacement is ordered: it has no free stock, its SKU is not
--               in Centra, the return names none, or a person or another integration made a Return on the unit.
-- closes:       the replacement order is confirmed, or the money was refunded instead: a Return made by
--               hand that was paid in full after the exception was open, or a person who says so.

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
    evidence,
    is_dry_run
from missing_effects
where effect_kind = 'exchange_order';

-- One row per exchange that somebody refunded without being asked: no goods were sent, and no person has said what the refund is.
-- A person who was asked before (an exception of the exchange was open) and then refunded has decided.
insert into findings by name
with
payments as (
    select centra_return_id, min(created_at) as paid_at
    from staging.payment_entries
    semi join matching.orders_in_play using (order_number)
    where centra_return_id is not null and is_given_back(money)
    group by centra_return_id
),

first_openings as (
    select subject::json ->> 'return_item_id' as return_item_id, min("at") as asked_at
    from reconciliation.exception_events
    semi join policy.exception_kinds as rules on rules.kind = exception_events.kind and rules.asks = 'goods_or_money'
    where event = 'opened'
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
    'All of it was refunded by hand, on Return '
    || payments.centra_return_id
    || ': the shopper wants an exchange, and no replacement is ordered'
        as detail,
    'Ask the shopper. If they want the money: `hr-centra tie '
    || units.return_item_id
    || ' --money`, or have Happy Returns make it a refund. Goods that were sent '
    || 'by hand: `hr-centra tie ORDER --order --unit ' || units.return_item_id || '`.' as next_step,
    json_merge_patch(units.evidence, json_object('centra_return_id', payments.centra_return_id)) as evidence
from known_units as units
join effects.value_given_back as value using (return_item_id)
left join latest_replacements as latest using (return_item_id)
join payments on payments.centra_return_id = coalesce(units.foreign_centra_return_id, latest.centra_return_id)
left join staging.centra_returns as returns on returns.centra_return_id = units.foreign_centra_return_id
left join first_openings using (return_item_id)
where units.refund_type = 'exchange'
    and value.is_paid_instead
    and units.credit_due_at is not null
    and not units.is_refused
    and len(coalesce(latest.order_numbers, [])) = 0 -- nothing was ordered, or canceled, either
    and latest.decision is null
    and (first_openings.asked_at is null or first_openings.asked_at > payments.paid_at)
    and units.return_item_id not in (
        select return_item_id from push.ties where what in ('money', 'order') and return_item_id is not null
    );

-- closing
insert into proofs by name
select
    unseen.exception_id,
    coalesce(
        case
            when replacements.is_paid_instead then replacements.paid_instead_proof
            else coalesce(unseen.effect_proof, unseen.answer_proof)
        end,
        unseen.refusal_proof
    ) as proof
from unseen
left join unseen_replacements as replacements using (exception_id)
where unseen.kind = 'exchange_without_order';
