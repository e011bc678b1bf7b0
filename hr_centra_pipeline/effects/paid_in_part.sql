-- changes: effects.pending_credit_notes
-- kind:  table
-- grain: one row per credit of an order that was paid in part by gift card: whether the other payments still reach

-- Orders that a gift card paid in part: what does not fit into what is left of the other payments waits.

-- One row per order that a gift card paid in part: what is left of its other payments.
create or replace temp table other_payment_balances as
select
    order_number,
    sum(case when is_captured(money) then amount when is_given_back(money) then -amount else 0 end)
    filter (where is_original_payment(instrument))::decimal(18, 4) as left_over
from staging.payment_entries semi join due_units using (order_number)
group by order_number
having count(*) filter (where is_captured(money) and is_gift_card(instrument)) > 0;

-- One row per effect that is refunded to those payments, in the order in which they get it: what fits into what is left goes, and
-- what does not takes nothing. The parts of a bundle go together. What waits for something else than an approval is not paid now;
-- what was refunded on a Return that is half done takes nothing any more.
create or replace temp table other_payment_refunds as
with recursive
paying_effects as (
    select
        effect_key,
        order_number,
        return_id,
        coalesce(bundle, effect_key) as together,
        coalesce(left_over, 0) as left_over,
        "state" in ('sending', 'unknown') as is_under_way, effect_kind, trigger_at,
        case when effect_key in (
                    select unnest(returns.effect_keys) from staging.centra_returns as returns
                    semi join other_payment_balances using (order_number)
                    semi join (from staging.payment_entries where is_given_back(money)) as entries
                        on entries.centra_return_id = returns.centra_return_id
                    where returns.deleted_at is null
                ) then 0
            else coalesce(amount, 0)
        end as amount
    from effects.pending_credit_notes as pending
    join other_payment_balances using (order_number)
    left join policy.reasons on reasons.code = pending.blocked_code
    where pays_through = 'centra' and effect_kind in ('credit_note', 'shipping_refund')
        and coalesce(reasons.needs_approval, true)
),

payment_queue as (
    select
        order_number, together, sum(amount)::decimal(18, 4) as amount, any_value(left_over) as left_over,
        row_number() over (
            partition by order_number
            order by
                bool_or(is_under_way) desc, bool_or(effect_kind = 'shipping_refund'), max(trigger_at), min(effect_key)
        ) as place
    from paying_effects
    group by order_number, together
),

-- One row per order and place in its queue: what is left of its other payments after it.
queue_balances as (
    select
        order_number,
        0 as place,
        null::varchar as together,
        false as fits,
        any_value(left_over)::decimal(18, 4) as still_left
    from payment_queue group by order_number
    union all
    select
        payment_queue.order_number,
        payment_queue.place,
        payment_queue.together,
        payment_queue.amount <= greatest(queue_balances.still_left, 0),
        case
            when payment_queue.amount <= queue_balances.still_left then queue_balances.still_left - payment_queue.amount else
                queue_balances.still_left
        end::decimal(18, 4)
    from queue_balances
    join
        payment_queue
        on payment_queue.order_number = queue_balances.order_number and payment_queue.place = queue_balances.place + 1
)

select paying_effects.effect_key, paying_effects.order_number, queue_balances.fits
from queue_balances
join paying_effects using (order_number, together);

-- What belongs to a whole return waits with its units.
update effects.pending_credit_notes as pending
set blocked_by = reasons.sentence, blocked_code = reasons.code
from (
    select effect_key, 'paid_in_part' as code from other_payment_refunds where not fits
    union
    select return_level.effect_key, 'paid_in_part' as code
    from effects.pending_credit_notes as return_level
    join (
        select credits.return_id, credits.order_number
        from effects.pending_credit_notes as credits
        left join other_payment_refunds as paid using (effect_key)
        where credits.effect_kind = 'credit_note'
        group by all
        having bool_and(credits.blocked_code is not null or not coalesce(paid.fits, true)) and bool_or(not paid.fits)
    ) as without using (return_id, order_number)
    where is_of_the_return(return_level.effect_kind) and return_level.pays_through = 'centra'
) as unpaid_effects
join policy.reasons using (code)
where unpaid_effects.effect_key = pending.effect_key;
