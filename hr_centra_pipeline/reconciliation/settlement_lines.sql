-- makes: payout_orders, provider_payments, settlement_lines
-- kind:  step
-- grain: one row per line of the providers about money given back, of the orders whose refunds are looked at
-- loop:  reconciliation.payouts: what the last run left without a settled verdict is looked at again

-- Refunds in Centra, and the lines of the payment providers about money given back: what payouts are made of.

-- Orders whose refunds are looked at: those whose facts are made again, those of which something was settled since the last run
-- (since: the last batch that was looked at), and those of which something is not settled yet.
create or replace temp table payout_orders as
select order_number from money_orders
union
select order_number from new_bookings where order_number is not null
union
-- A chargeback that has no verdict yet: whose payment it is, Centra may have shown later than the settlement.
select order_number from bookings_of_orders
where line_type in ('chargeback', 'chargeback_reversed') and order_number is not null
    and 'chargeback ' || order_number || ' ' || currency not in (select payout_tie_id from reconciliation.payouts)
union
-- So with a refund, or one that came back, that does not name its order.
select order_number from bookings_of_orders
where line_type in ('refund', 'refund_reversed') and not names_order
    and order_number not in (select order_number from reconciliation.payouts where order_number is not null)
union
-- What is of no single order may be of each that has its reference.
select entries.order_number
from (
    select order_number, unnest(list_append(provider_references, external_reference)) as reference
    from staging.payment_entries
) as entries
semi join (
    select unnest([lines.reference, lines.payment_reference]) as reference
    from staging.payout_lines as lines
    join bookings_of_orders as bookings using (payout_line_id)
    where bookings.line_type in ('refund', 'refund_reversed') and bookings.order_number is null
) as unclear_references using (reference)
union
select order_number from reconciliation.payouts
where verdict not in ('agrees', 'paid_again', 'chargeback_settled', 'not_covered') and order_number is not null;

-- Payments that Centra shows as made by a provider. A Return that another user paid has no entry: it is one itself.
create or replace temp table provider_payments as
select
    'entry ' || entries.entry_id as payout_tie_id, entries.entry_id, entries.centra_return_id, entries.order_number,
    coalesce(entries.provider_references[1], entries.external_reference) as reference,
    -- Centra's reference of a refund is in many cases the authorisation's; the provider's own answer knows better.
    list_filter(list_append(entries.provider_references, entries.external_reference), lambda known: known is not null)
        as "references",
    entries.currency, entries.amount, entries.created_at
from staging.payment_entries as entries
semi join payout_orders using (order_number)
where is_refunded(entries.money) and is_original_payment(entries.instrument)
union all by name
select
    'Return ' || returns.centra_return_id as payout_tie_id,
    returns.centra_return_id,
    returns.order_number,
    returns.currency,
    returns.grand_total as amount, returns.created_at, []::varchar[] as "references"
from staging.centra_returns as returns
semi join payout_orders using (order_number)
anti join staging.payment_entries as entries on entries.centra_return_id = returns.centra_return_id
where returns.deleted_at is null and returns.grand_total > 0 and returns.is_completed;

-- The providers' lines about money given back, of these orders or of these payments.
create or replace temp table settlement_lines as
select
    lines.payout_line_id, lines.provider, lines.line_type, lines.reference, lines.payment_reference,
    bookings.order_number, lines.currency, lines.gross_amount, lines.happened_at,
    lines.source_file || ':' || lines.source_line as source
from staging.payout_lines as lines
join bookings_of_orders as bookings using (payout_line_id)
where lines.line_type in ('refund', 'refund_reversed', 'chargeback', 'chargeback_reversed')
    and (
        bookings.order_number in (select order_number from payout_orders)
        or lines.reference in (select unnest("references") from provider_payments)
        or lines.payment_reference in (select unnest("references") from provider_payments)
        or (bookings.order_number is null and lines.line_type in ('refund', 'refund_reversed'))
    );
