-- makes: reconciliation.payouts
-- kind:  table
-- grain: one row per refund in Centra and what the payment providers booked for it
-- loop:  reconciliation.payouts: which return a payment on an order that is not active was for was found before

-- How far each provider's files reach, and since when a file may be missing: one that was refused may hold what is not found.
create or replace temp table provider_covers as
select provider, min(happened_at) as covered_from, max(happened_at) as covered_until
from staging.payout_lines where line_type <> 'unknown' group by provider;

create or replace temp table refused_payouts as
select max(coalesce(source_time, received_at)) as refused_at
from latest_deliveries as files
where culprit = 'provider'
    and (
        problem is not null
        -- or one of its lines could not be read, which may be the one that is looked for
        or exists (
            select 1 from quarantine.rejected_rows as rejected
            where rejected.kind = 'payouts' and rejected.source_file = files.source_file
                and rejected.file_sha256 = files.file_sha256
                and rejected.source_line is not null
                and rejected.column_name is null
        )
    );

-- The return that an order's money is about, where there is only one.
create or replace temp table sole_returns as
select order_number, min(return_id) as return_id
from staging.return_items
semi join payout_orders using (order_number)
group by order_number having count(distinct return_id) = 1;

-- What was given back on an order in Centra.
create or replace temp table credited_orders as
select order_number, currency, sum(grand_total) as credited
from staging.centra_returns
semi join payout_orders using (order_number)
where deleted_at is null
group by all;

delete from reconciliation.payouts
where order_number in (select order_number from payout_orders) or order_number is null;
insert into reconciliation.payouts by name
with
payout_window as (
    select window_hours from policy.exception_kinds where kind = 'payout_mismatch'
),

-- Amounts of one currency are compared with each other only: what was booked in another one than Centra's is reported as text.
amounts_abroad as (
    select payout_tie_id, string_agg(money_text(amount, currency), ' and ' order by currency) as abroad
    from (
        select lines.payout_tie_id, lines.currency, -sum(lines.gross_amount) as amount
        from tied_lines as lines
        join provider_payments using (payout_tie_id)
        where lines.currency is distinct from provider_payments.currency
        group by lines.payout_tie_id, lines.currency
    )
    group by payout_tie_id
),

bookings as (
    select
        lines.payout_tie_id, any_value(lines.provider) as provider, any_value(lines.tied_by) as tied_by,
        any_value(amounts_abroad.abroad) as abroad,
        coalesce(
            -sum(lines.gross_amount) filter (
                where lines.line_type = 'refund' and lines.currency = provider_payments.currency
            ),
            0
        )
        -- What came back was paid, though the line of that is before the files or in one that was refused.
        + case when bool_or(lines.line_type = 'refund' and lines.tied_by <> 'paid_again')
                or any_value(amounts_abroad.abroad) is not null
                then 0
            else any_value(provider_payments.amount)
        end as refunded,
        coalesce(
            sum(lines.gross_amount) filter (
                where lines.line_type = 'refund_reversed' and lines.currency = provider_payments.currency
            ),
            0
        )
            as reversed,
        max(lines.happened_at) as settled_at, any_value(lines.source) as source, any_value(lines.reference) as reference
    from tied_lines as lines
    join provider_payments using (payout_tie_id)
    left join amounts_abroad using (payout_tie_id)
    group by lines.payout_tie_id
),

-- Returns that Centra has paid more than once by equal payments: what came back was paid again.
repeated_payments as (
    select centra_return_id as paid_return_id, amount as paid_amount, max(entry_id) as last_entry
    from provider_payments
    where entry_id is not null and centra_return_id is not null
    group by all having count(*) > 1
),

-- Who books an order's money: as its capture shows, else the only provider that there is.
providers as (
    select order_number, min(provider) as provider
    from staging.payout_lines
    where line_type = 'capture'
        and order_number in (select order_number from provider_payments anti join bookings using (payout_tie_id))
    group by order_number
),

searches as (
    select
        provider_payments.payout_tie_id,
        coalesce(covers.covered_from <= provider_payments.created_at, false) as is_covered, -- else nobody's files report that time
        covers.covered_until >= provider_payments.created_at + to_hours(payout_window.window_hours::integer)
        and coalesce(refused.refused_at < provider_payments.created_at, true)
        -- a line of the order that is not understood may be the refund
        and provider_payments.order_number not in (
            select order_number from bookings_of_orders where line_type = 'unknown' and order_number is not null
        ) as is_over
    from provider_payments
    anti join bookings using (payout_tie_id)
    cross join payout_window
    cross join refused_payouts as refused
    left join providers on providers.order_number = provider_payments.order_number
    left join provider_covers as covers on covers.provider = coalesce(
            providers.provider, (select min(provider) from provider_covers having count(*) = 1)
        )
),

payment_verdicts as (
    select
        provider_payments.payout_tie_id,
        case
            -- another user may have paid without a card
            when bookings.payout_tie_id is null and provider_payments.entry_id is null then null
            when bookings.payout_tie_id is null and not searches.is_covered then 'not_covered'
            when bookings.payout_tie_id is null and searches.is_over then 'not_settled'
            when bookings.payout_tie_id is null then 'waits'
            when bookings.abroad is not null then 'amount_differs'
            when bookings.reversed > 0 and bookings.refunded - bookings.reversed = provider_payments.amount then 'agrees'
            when bookings.reversed > 0 and bookings.refunded <= bookings.reversed and repeats.paid_return_id is not null
                then 'paid_again'
            when bookings.reversed > 0 and bookings.refunded - bookings.reversed < provider_payments.amount then 'reversed'
            when bookings.refunded <> provider_payments.amount then 'amount_differs'
            else 'agrees'
        end as verdict,
        of_return.return_id,
        provider_payments.order_number,
        provider_payments.centra_return_id,
        provider_payments.entry_id,
        bookings.provider,
        coalesce(provider_payments.reference, bookings.reference) as reference, provider_payments.currency,
        provider_payments.amount as credited_amount,
        coalesce(bookings.refunded - bookings.reversed, 0) as settled_amount,
        bookings.abroad as settled_abroad,
        provider_payments.created_at as credited_at,
        bookings.settled_at,
        case bookings.tied_by when 'paid_again' then 'paid again' else bookings.tied_by end as tied_by,
        bookings.source
    from provider_payments
    left join bookings using (payout_tie_id)
    left join searches using (payout_tie_id)
    left join repeated_payments as repeats
        on repeats.paid_return_id = provider_payments.centra_return_id
            and repeats.last_entry > provider_payments.entry_id
            and repeats.paid_amount = provider_payments.amount
    left join (
        select
            centra_return_id, min(return_id) as return_id from (
            select centra_return_id, return_id from return_pieces
            union
            select centra_return_id, return_id from reconciliation.payouts
        )
        group by all having count(distinct return_id) = 1
    ) as of_return using (centra_return_id)
),

-- Lines that no payment of Centra is about.
unknown_lines as (
    select
        'line ' || lines.payout_line_id as payout_tie_id,
        'not_credited' as verdict,
        sole_returns.return_id,
        lines.order_number,
        lines.provider,
        lines.reference,
        lines.currency,
        0 as credited_amount, -lines.gross_amount as settled_amount, lines.happened_at as settled_at, lines.source
    from settlement_lines as lines
    anti join tied_lines using (payout_line_id)
    left join sole_returns using (order_number)
    -- an order that was never read may have been refunded there
    where lines.line_type = 'refund'
        and (lines.order_number is null or lines.order_number in (select order_number from staging.orders))
    union all by name
    -- A refund came back, and which one is not known.
    select
        'line ' || lines.payout_line_id as payout_tie_id,
        'reversed' as verdict,
        sole_returns.return_id,
        lines.order_number,
        lines.provider,
        lines.reference,
        lines.currency,
        lines.gross_amount as credited_amount, 0 as settled_amount, lines.happened_at as settled_at, lines.source
    from settlement_lines as lines
    anti join tied_lines using (payout_line_id)
    left join sole_returns using (order_number)
    where lines.line_type = 'refund_reversed'
        and (lines.order_number is null or lines.order_number in (select order_number from staging.orders))
),

-- A chargeback on an order of which something was credited pays the money twice, as far as it does not count on what is still to
-- be given (whose credits it blocks).
chargebacks_beyond as (
    select
        lines.order_number,
        lines.currency,
        -sum(lines.gross_amount) - coalesce(any_value(chargebacks.counted), 0) as amount
    from settlement_lines as lines
    left join effects.chargebacks as chargebacks
        on chargebacks.order_number = lines.order_number and chargebacks.currency = lines.currency
    where lines.line_type in ('chargeback', 'chargeback_reversed') and lines.order_number is not null
    group by lines.order_number, lines.currency
),

chargeback_verdicts as (
    select
        'chargeback ' || lines.order_number || ' ' || lines.currency as payout_tie_id,
        case
            when
                any_value(beyond.amount) > 0 and any_value(coalesce(order_credits.credited, order_maximums.credited)) > 0
                then 'chargeback'
            else 'chargeback_settled'
        end as verdict,
        any_value(sole_returns.return_id) as return_id, lines.order_number, any_value(lines.provider) as provider,
        any_value(lines.reference) as reference, lines.currency, 0 as credited_amount,
        -- In another currency than what was credited, nobody knows how much of it was given twice: all of it is in question.
        greatest(
            case
                when
                    any_value(order_credits.credited) is null and any_value(order_maximums.credited) > 0
                    then any_value(beyond.amount)
                else least(any_value(beyond.amount), coalesce(any_value(order_credits.credited), 0))
            end, 0
        ) as settled_amount,
        max(lines.happened_at) as settled_at, any_value(lines.source) as source
    from settlement_lines as lines
    join chargebacks_beyond as beyond using (order_number, currency)
    left join sole_returns using (order_number)
    left join
        credited_orders as order_credits
        on order_credits.order_number = lines.order_number and order_credits.currency = lines.currency
    left join (
        select order_number, max(credited) as credited from credited_orders group by order_number
    ) as order_maximums on order_maximums.order_number = lines.order_number
    where lines.line_type in ('chargeback', 'chargeback_reversed') and lines.order_number is not null
    group by lines.order_number, lines.currency
),

all_verdicts as (
    from payment_verdicts where verdict is not null
    union all by name
    from unknown_lines
    union all by name
    from chargeback_verdicts
)

select
    all_verdicts.*, settled_amount - credited_amount as difference,
    verdict = 'agrees' and date_trunc('month', credited_at) <> date_trunc('month', settled_at) as is_other_month
from all_verdicts;
