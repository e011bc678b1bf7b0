-- makes: tied_lines
-- kind:  step
-- grain: one row per line of a provider and refund in Centra that it is tied to

-- Tied by the refund's own reference, else by the reference of the payment that it belongs to, else by order and amount where
-- exactly one fits.

create or replace temp table tied_lines as
with
known_references as (
    select distinct payout_tie_id, unnest("references") as reference from provider_payments
),

lines_by_reference as (
    select lines.*, known.payout_tie_id, 'reference' as tied_by
    from settlement_lines as lines
    join known_references as known using (reference)
    where lines.line_type in ('refund', 'refund_reversed')
),

-- Refunds whose own reference Centra does not have: of a payment several may be, so that the amount has to fit.
lines_of_payment as (
    select
        lines.payout_line_id, provider_payments.payout_tie_id,
        provider_payments.currency = lines.currency
        and provider_payments.amount = -lines.gross_amount as is_same_amount,
        dense_rank() over (
            partition by lines.payment_reference, is_same_amount, lines.currency, lines.gross_amount
            order by lines.happened_at, lines.payout_line_id
        ) as line_place,
        dense_rank() over (
            partition by lines.payment_reference, is_same_amount, lines.currency, lines.gross_amount
            order by provider_payments.created_at, provider_payments.payout_tie_id
        ) as tie_place
    from settlement_lines as lines
    join known_references as known on known.reference = lines.payment_reference
    join provider_payments using (payout_tie_id)
    anti join lines_by_reference as tied on tied.payout_line_id = lines.payout_line_id
    anti join lines_by_reference as taken_lines on taken_lines.payout_tie_id = known.payout_tie_id
    where lines.line_type = 'refund'
),

-- As many as fit, the earliest to the earliest: equal ones cannot be distinguished, and need not be.
ties_by_payment as (
    select payout_line_id, payout_tie_id
    from lines_of_payment
    where is_same_amount and line_place = tie_place
    qualify row_number() over (partition by payout_tie_id order by payout_line_id) = 1
    union
    -- the only refund of its payment on both sides, whatever its amount
    select payout_line_id, payout_tie_id from lines_of_payment
    qualify count(*) over (partition by payout_line_id) = 1 and count(*) over (partition by payout_tie_id) = 1
),

lines_left as (
    select lines.* from settlement_lines as lines
    anti join lines_by_reference using (payout_line_id)
    anti join ties_by_payment using (payout_line_id)
    where lines.line_type = 'refund' and lines.order_number is not null
),

fitting_pairs as (
    select
        lines_left.payout_line_id, provider_payments.payout_tie_id,
        bool_and(provider_payments.entry_id is not null) over (partition by lines_left.payout_line_id) as are_payments,
        dense_rank() over (
            partition by lines_left.order_number, lines_left.currency, lines_left.gross_amount
            order by lines_left.happened_at, lines_left.payout_line_id
        ) as line_place,
        dense_rank() over (
            partition by lines_left.order_number, lines_left.currency, lines_left.gross_amount
            order by provider_payments.created_at, provider_payments.payout_tie_id
        ) as tie_place,
        count(*) over (partition by lines_left.payout_line_id) as ties,
        count(*) over (partition by provider_payments.payout_tie_id) as lines
    from lines_left
    join provider_payments
        on provider_payments.order_number = lines_left.order_number and provider_payments.currency = lines_left.currency
            and provider_payments.amount = -lines_left.gross_amount
    anti join lines_by_reference as taken_lines on taken_lines.payout_tie_id = provider_payments.payout_tie_id
    anti join ties_by_payment as paid on paid.payout_tie_id = provider_payments.payout_tie_id
),

-- Lines and payments of one amount are paired in the order of their times. Of Returns that another system pays, not each may have
-- been paid: those are paired only when there are as many lines.
ties_by_amount as (
    select * from fitting_pairs
    where line_place = tie_place and (lines >= ties or are_payments)
),

first_ties as (
    from lines_by_reference
    union all by name
    select lines.*, ties_by_payment.payout_tie_id, 'payment' as tied_by
    from settlement_lines as lines join ties_by_payment using (payout_line_id)
    union all by name
    select lines_left.*, ties_by_amount.payout_tie_id, 'amount' as tied_by
    from lines_left join ties_by_amount using (payout_line_id)
),

-- A refund that came back carries the reference of the refund that it reverses, as its own or as that of its payment.
returned_lines as (
    select lines.*, first_ties.payout_tie_id, first_ties.tied_by
    from settlement_lines as lines
    join first_ties
        on first_ties.line_type = 'refund' and first_ties.provider = lines.provider
            and first_ties.reference in (lines.reference, lines.payment_reference)
    where lines.line_type = 'refund_reversed' and lines.payout_line_id not in (select payout_line_id from first_ties)
    qualify row_number()
            over (partition by lines.payout_line_id order by first_ties.happened_at, first_ties.payout_tie_id)
        = 1
),

-- Refunds that came back, by order and amount: what the provider pays of the same amount afterwards is paid again.
bounced_refunds as (
    select
        *, row_number() over (partition by order_number, currency, amount order by bounced_at, payout_tie_id) as place,
        count(*) over (partition by order_number, currency, amount) as places
    from (
        select
            back.payout_tie_id,
            provider_payments.order_number,
            back.currency,
            back.gross_amount as amount,
            min(back.happened_at) as bounced_at
        from (
            select * from first_ties where line_type = 'refund_reversed'
            union all by name
            from returned_lines
        ) as back
        join provider_payments using (payout_tie_id)
        group by all
    )
),

later_lines as (
    select
        lines.payout_line_id, payments.order_number,
        row_number() over (
            partition by payments.order_number, lines.currency, lines.gross_amount
            order by lines.happened_at, lines.payout_line_id
        ) as place
    from settlement_lines as lines
    join (
        select distinct provider_payments.order_number, known.reference
        from known_references as known join provider_payments using (payout_tie_id)
        union
        select order_number, null from payout_orders
    ) as payments
        on payments.reference = lines.payment_reference
            or (payments.reference is null and payments.order_number = lines.order_number)
    anti join first_ties using (payout_line_id)
    where lines.line_type = 'refund'
        and exists (
            select 1 from bounced_refunds
            where bounced_refunds.order_number = payments.order_number and bounced_refunds.currency = lines.currency
                and bounced_refunds.amount = -lines.gross_amount and lines.happened_at >= bounced_refunds.bounced_at
        )
    group by lines.payout_line_id, payments.order_number, lines.currency, lines.gross_amount, lines.happened_at
),

repayments as (
    select lines.*, bounced_refunds.payout_tie_id, 'paid_again' as tied_by
    from later_lines
    join settlement_lines as lines using (payout_line_id)
    join bounced_refunds
        on bounced_refunds.order_number = later_lines.order_number
            and bounced_refunds.currency = lines.currency
            and bounced_refunds.amount = -lines.gross_amount
            and (later_lines.place - 1) % bounced_refunds.places + 1 = bounced_refunds.place
)

from first_ties
union all by name
from returned_lines
union all by name
from repayments
union all by name
select lines.*, repayments.payout_tie_id, repayments.tied_by
from settlement_lines as lines
join
    repayments
    on repayments.provider = lines.provider and repayments.reference in (lines.reference, lines.payment_reference)
anti join first_ties on first_ties.payout_line_id = lines.payout_line_id
anti join returned_lines on returned_lines.payout_line_id = lines.payout_line_id
where lines.line_type = 'refund_reversed';
