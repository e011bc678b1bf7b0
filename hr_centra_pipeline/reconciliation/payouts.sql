-- makes: reconciliation.payouts, tied_lines
-- changes: reconciliation.refund_facts
-- kind:  table
-- grain: one row per refund in Centra and what the payment providers booked for it

-- Refunds in Centra next to what the payment providers booked: tied by the refund's own reference, else by the reference of
-- the payment that it belongs to, else by order and amount where exactly one fits.

-- Orders whose refunds are looked at: those whose facts are made anew, those of which something was settled since the last run
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
) as unclear using (reference)
union
select order_number from reconciliation.payouts
where verdict not in ('agrees', 'paid_again', 'chargeback_settled', 'not_covered') and order_number is not null;

-- Payments that Centra shows as made by a provider. A Return that somebody else paid has no entry: it is one itself.
create or replace temp table payable as
select
    'entry ' || entries.entry_id as payout_tie_id, entries.entry_id, entries.centra_return_id, entries.order_number,
    coalesce(entries.provider_references[1], entries.external_reference) as reference,
    -- Centra's reference of a refund is in many cases the authorisation's; the provider's own answer knows better.
    list_filter(list_append(entries.provider_references, entries.external_reference), lambda known: known is not null)
        as "references",
    entries.currency, entries.amount, entries.created_at
from staging.payment_entries as entries
semi join payout_orders using (order_number)
where entries.money = 'refunded' and entries.instrument = 'original'
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
create or replace temp table given_back as
select
    lines.payout_line_id, lines.provider, lines.line_type, lines.reference, lines.payment_reference,
    bookings.order_number, lines.currency, lines.gross_amount, lines.happened_at,
    lines.source_file || ':' || lines.source_line as source
from staging.payout_lines as lines
join bookings_of_orders as bookings using (payout_line_id)
where lines.line_type in ('refund', 'refund_reversed', 'chargeback', 'chargeback_reversed')
    and (
        bookings.order_number in (select order_number from payout_orders)
        or lines.reference in (select unnest("references") from payable)
        or lines.payment_reference in (select unnest("references") from payable)
        or (bookings.order_number is null and lines.line_type in ('refund', 'refund_reversed'))
    );

create or replace temp table tied_lines as
with
known_references as (
    select distinct payout_tie_id, unnest("references") as reference from payable
),

by_reference as (
    select lines.*, known.payout_tie_id, 'reference' as tied_by
    from given_back as lines
    join known_references as known using (reference)
    where lines.line_type in ('refund', 'refund_reversed')
),

-- Refunds whose own reference Centra does not have: of a payment several may be, so that the amount has to fit.
of_payment as (
    select
        lines.payout_line_id, payable.payout_tie_id,
        payable.currency = lines.currency and payable.amount = -lines.gross_amount as is_same_amount,
        dense_rank() over (
            partition by lines.payment_reference, is_same_amount, lines.currency, lines.gross_amount
            order by lines.happened_at, lines.payout_line_id
        ) as line_place,
        dense_rank() over (
            partition by lines.payment_reference, is_same_amount, lines.currency, lines.gross_amount
            order by payable.created_at, payable.payout_tie_id
        ) as tie_place
    from given_back as lines
    join known_references as known on known.reference = lines.payment_reference
    join payable using (payout_tie_id)
    anti join by_reference as tied on tied.payout_line_id = lines.payout_line_id
    anti join by_reference as taken on taken.payout_tie_id = known.payout_tie_id
    where lines.line_type = 'refund'
),

-- As many as fit, the earliest to the earliest: equal ones cannot be told apart, and need not be.
by_payment as (
    select payout_line_id, payout_tie_id
    from of_payment
    where is_same_amount and line_place = tie_place
    qualify row_number() over (partition by payout_tie_id order by payout_line_id) = 1
    union
    -- the only refund of its payment on both sides, whatever its amount
    select payout_line_id, payout_tie_id from of_payment
    qualify count(*) over (partition by payout_line_id) = 1 and count(*) over (partition by payout_tie_id) = 1
),

left_over as (
    select lines.* from given_back as lines
    anti join by_reference using (payout_line_id)
    anti join by_payment using (payout_line_id)
    where lines.line_type = 'refund' and lines.order_number is not null
),

fitting as (
    select
        left_over.payout_line_id, payable.payout_tie_id,
        bool_and(payable.entry_id is not null) over (partition by left_over.payout_line_id) as are_payments,
        dense_rank() over (
            partition by left_over.order_number, left_over.currency, left_over.gross_amount
            order by left_over.happened_at, left_over.payout_line_id
        ) as line_place,
        dense_rank() over (
            partition by left_over.order_number, left_over.currency, left_over.gross_amount
            order by payable.created_at, payable.payout_tie_id
        ) as tie_place,
        count(*) over (partition by left_over.payout_line_id) as ties,
        count(*) over (partition by payable.payout_tie_id) as lines
    from left_over
    join payable
        on payable.order_number = left_over.order_number and payable.currency = left_over.currency
            and payable.amount = -left_over.gross_amount
    anti join by_reference as taken on taken.payout_tie_id = payable.payout_tie_id
    anti join by_payment as paid on paid.payout_tie_id = payable.payout_tie_id
),

-- Lines and payments of one amount are paired in the order of their times. Of Returns that another system pays, not each may have
-- been paid: those are paired only when there are as many lines.
by_amount as (
    select * from fitting
    where line_place = tie_place and (lines >= ties or are_payments)
),

tied as (
    from by_reference
    union all by name
    select lines.*, by_payment.payout_tie_id, 'payment' as tied_by
    from given_back as lines join by_payment using (payout_line_id)
    union all by name
    select left_over.*, by_amount.payout_tie_id, 'amount' as tied_by
    from left_over join by_amount using (payout_line_id)
),

-- A refund that came back carries the reference of the refund that it reverses, as its own or as that of its payment.
returned as (
    select lines.*, tied.payout_tie_id, tied.tied_by
    from given_back as lines
    join tied
        on tied.line_type = 'refund' and tied.provider = lines.provider
            and tied.reference in (lines.reference, lines.payment_reference)
    where lines.line_type = 'refund_reversed' and lines.payout_line_id not in (select payout_line_id from tied)
    qualify row_number() over (partition by lines.payout_line_id order by tied.happened_at, tied.payout_tie_id) = 1
),

-- Refunds that came back, by order and amount: what the provider pays of the same amount afterwards is paid again.
bounced as (
    select
        *, row_number() over (partition by order_number, currency, amount order by bounced_at, payout_tie_id) as place,
        count(*) over (partition by order_number, currency, amount) as places
    from (
        select
            back.payout_tie_id,
            payable.order_number,
            back.currency,
            back.gross_amount as amount,
            min(back.happened_at) as bounced_at
        from (
            select * from tied where line_type = 'refund_reversed'
            union all by name
            from returned
        ) as back
        join payable using (payout_tie_id)
        group by all
    )
),

later as (
    select
        lines.payout_line_id, payments.order_number,
        row_number() over (
            partition by payments.order_number, lines.currency, lines.gross_amount
            order by lines.happened_at, lines.payout_line_id
        ) as place
    from given_back as lines
    join (
        select distinct payable.order_number, known.reference
        from known_references as known join payable using (payout_tie_id)
        union
        select order_number, null from payout_orders
    ) as payments
        on payments.reference = lines.payment_reference
            or (payments.reference is null and payments.order_number = lines.order_number)
    anti join tied using (payout_line_id)
    where lines.line_type = 'refund'
        and exists (
            select 1 from bounced
            where bounced.order_number = payments.order_number and bounced.currency = lines.currency
                and bounced.amount = -lines.gross_amount and lines.happened_at >= bounced.bounced_at
        )
    group by lines.payout_line_id, payments.order_number, lines.currency, lines.gross_amount, lines.happened_at
),

again as (
    select lines.*, bounced.payout_tie_id, 'paid again' as tied_by
    from later
    join given_back as lines using (payout_line_id)
    join bounced
        on bounced.order_number = later.order_number
            and bounced.currency = lines.currency
            and bounced.amount = -lines.gross_amount
            and (later.place - 1) % bounced.places + 1 = bounced.place
)

from tied
union all by name
from returned
union all by name
from again
union all by name
select lines.*, again.payout_tie_id, again.tied_by
from given_back as lines
join again on again.provider = lines.provider and again.reference in (lines.reference, lines.payment_reference)
anti join tied on tied.payout_line_id = lines.payout_line_id
anti join returned on returned.payout_line_id = lines.payout_line_id
where lines.line_type = 'refund_reversed';

-- How far each provider's files tell, and since when a file may be missing: one that was refused may hold what is not found.
create or replace temp table provider_covers as
select provider, min(happened_at) as covered_from, max(happened_at) as covered_until
from staging.payout_lines where line_type <> 'unknown' group by provider;

create or replace temp table refused_payouts as
select max(coalesce(modified_at, received_at)) as refused_at
from (
    select * from landing.payout_files qualify row_number() over (partition by source_file order by batch desc) = 1
) as payout_files
where problem is not null
    -- or one of its lines could not be read, which may be the one that is looked for
    or exists (
        select 1 from quarantine.rejected_rows as rejected
        where rejected.kind = 'payouts' and rejected.source_file = payout_files.source_file
            and rejected.file_sha256 = payout_files.file_sha256
            and rejected.source_line is not null
            and rejected.column_name is null
    );

-- The return that an order's money is about, where there is only one.
create or replace temp table only_returns as
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
window_of as (
    select window_hours from policy.exception_kinds where kind = 'payout_mismatch'
),

-- Amounts of one currency are compared with each other only: what was booked in another one than Centra's is told as text.
booked_abroad as (
    select payout_tie_id, string_agg(money_text(amount, currency), ' and ' order by currency) as abroad
    from (
        select lines.payout_tie_id, lines.currency, -sum(lines.gross_amount) as amount
        from tied_lines as lines
        join payable using (payout_tie_id)
        where lines.currency is distinct from payable.currency
        group by lines.payout_tie_id, lines.currency
    )
    group by payout_tie_id
),

booked as (
    select
        lines.payout_tie_id, any_value(lines.provider) as provider, any_value(lines.tied_by) as tied_by,
        any_value(booked_abroad.abroad) as abroad,
        coalesce(
            -sum(lines.gross_amount) filter (where lines.line_type = 'refund' and lines.currency = payable.currency), 0
        )
        -- What came back was paid, though the line of that lies before the files or in one that was refused.
        + case when bool_or(lines.line_type = 'refund' and lines.tied_by <> 'paid again')
                or any_value(booked_abroad.abroad) is not null
                then 0
            else any_value(payable.amount)
        end as refunded,
        coalesce(
            sum(lines.gross_amount) filter (
                where lines.line_type = 'refund_reversed' and lines.currency = payable.currency
            ),
            0
        )
            as reversed,
        max(lines.happened_at) as settled_at, any_value(lines.source) as source, any_value(lines.reference) as reference
    from tied_lines as lines
    join payable using (payout_tie_id)
    left join booked_abroad using (payout_tie_id)
    group by lines.payout_tie_id
),

-- Returns that Centra has paid more than once by equal payments: what came back was paid again.
paid_twice as (
    select centra_return_id as paid_return_id, amount as paid_amount, max(entry_id) as last_entry
    from payable
    where entry_id is not null and centra_return_id is not null
    group by all having count(*) > 1
),

-- Who books an order's money: as its capture shows, else the only provider that there is.
providers as (
    select order_number, min(provider) as provider
    from staging.payout_lines
    where line_type = 'capture'
        and order_number in (select order_number from payable anti join booked using (payout_tie_id))
    group by order_number
),

looked_for as (
    select
        payable.payout_tie_id,
        coalesce(covers.covered_from <= payable.created_at, false) as is_covered, -- else nobody's files tell of that time
        covers.covered_until >= payable.created_at + to_hours(window_of.window_hours::integer)
        and coalesce(refused.refused_at < payable.created_at, true)
        -- a line of the order that is not understood may be the refund
        and payable.order_number not in (
            select order_number from bookings_of_orders where line_type = 'unknown' and order_number is not null
        ) as is_over
    from payable
    anti join booked using (payout_tie_id)
    cross join window_of
    cross join refused_payouts as refused
    left join providers on providers.order_number = payable.order_number
    left join provider_covers as covers on covers.provider = coalesce(
            providers.provider, (select min(provider) from provider_covers having count(*) = 1)
        )
),

paid as (
    select
        payable.payout_tie_id,
        case
            when booked.payout_tie_id is null and payable.entry_id is null then null -- somebody else may have paid without a card
            when booked.payout_tie_id is null and not looked_for.is_covered then 'not_covered'
            when booked.payout_tie_id is null and looked_for.is_over then 'not_settled'
            when booked.payout_tie_id is null then 'waits'
            when booked.abroad is not null then 'amount_differs'
            when booked.reversed > 0 and booked.refunded - booked.reversed = payable.amount then 'agrees'
            when
                booked.reversed > 0 and booked.refunded <= booked.reversed and again.paid_return_id is not null
                then 'paid_again'
            when booked.reversed > 0 and booked.refunded - booked.reversed < payable.amount then 'reversed'
            when booked.refunded <> payable.amount then 'amount_differs'
            else 'agrees'
        end as verdict,
        of_return.return_id, payable.order_number, payable.centra_return_id, payable.entry_id, booked.provider,
        coalesce(payable.reference, booked.reference) as reference, payable.currency,
        payable.amount as credited_amount, coalesce(booked.refunded - booked.reversed, 0) as settled_amount,
        booked.abroad as settled_abroad,
        payable.created_at as credited_at,
        booked.settled_at,
        booked.tied_by,
        booked.source
    from payable
    left join booked using (payout_tie_id)
    left join looked_for using (payout_tie_id)
    left join paid_twice as again
        on again.paid_return_id = payable.centra_return_id
            and again.last_entry > payable.entry_id
            and again.paid_amount = payable.amount
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
unknown as (
    select
        'line ' || lines.payout_line_id as payout_tie_id,
        'not_credited' as verdict,
        only_returns.return_id,
        lines.order_number,
        lines.provider,
        lines.reference,
        lines.currency,
        0 as credited_amount, -lines.gross_amount as settled_amount, lines.happened_at as settled_at, lines.source
    from given_back as lines
    anti join tied_lines using (payout_line_id)
    left join only_returns using (order_number)
    -- an order that was never read may have been refunded there
    where lines.line_type = 'refund'
        and (lines.order_number is null or lines.order_number in (select order_number from staging.orders))
    union all by name
    -- A refund came back, and which one is not known.
    select
        'line ' || lines.payout_line_id as payout_tie_id,
        'reversed' as verdict,
        only_returns.return_id,
        lines.order_number,
        lines.provider,
        lines.reference,
        lines.currency,
        lines.gross_amount as credited_amount, 0 as settled_amount, lines.happened_at as settled_at, lines.source
    from given_back as lines
    anti join tied_lines using (payout_line_id)
    left join only_returns using (order_number)
    where lines.line_type = 'refund_reversed'
        and (lines.order_number is null or lines.order_number in (select order_number from staging.orders))
),

-- A chargeback on an order of which something was credited gives the money twice, as far as it does not count on what is still to
-- be given (whose credits it blocks).
charged_back_beyond as (
    select
        lines.order_number,
        lines.currency,
        -sum(lines.gross_amount) - coalesce(any_value(chargebacks.counted), 0) as amount
    from given_back as lines
    left join effects.chargebacks as chargebacks
        on chargebacks.order_number = lines.order_number and chargebacks.currency = lines.currency
    where lines.line_type in ('chargeback', 'chargeback_reversed') and lines.order_number is not null
    group by lines.order_number, lines.currency
),

disputed as (
    select
        'chargeback ' || lines.order_number || ' ' || lines.currency as payout_tie_id,
        case when
                any_value(beyond.amount) > 0 and any_value(coalesce(credited.credited, abroad.credited)) > 0
                then 'chargeback'
            else 'chargeback_settled'
        end as verdict,
        any_value(only_returns.return_id) as return_id, lines.order_number, any_value(lines.provider) as provider,
        any_value(lines.reference) as reference, lines.currency, 0 as credited_amount,
        -- In another currency than what was credited, nobody knows how much of it was given twice: all of it is in question.
        greatest(
            case when
                    any_value(credited.credited) is null and any_value(abroad.credited) > 0
                    then any_value(beyond.amount)
                else least(any_value(beyond.amount), coalesce(any_value(credited.credited), 0))
            end, 0
        ) as settled_amount,
        max(lines.happened_at) as settled_at, any_value(lines.source) as source
    from given_back as lines
    join charged_back_beyond as beyond using (order_number, currency)
    left join only_returns using (order_number)
    left join
        credited_orders as credited
        on credited.order_number = lines.order_number and credited.currency = lines.currency
    left join (
        select order_number, max(credited) as credited from credited_orders group by order_number
    ) as abroad on abroad.order_number = lines.order_number
    where lines.line_type in ('chargeback', 'chargeback_reversed') and lines.order_number is not null
    group by lines.order_number, lines.currency
),

every as (
    from paid where verdict is not null
    union all by name
    from unknown
    union all by name
    from disputed
)

select
    every.*, settled_amount - credited_amount as difference,
    verdict = 'agrees' and date_trunc('month', credited_at) <> date_trunc('month', settled_at) as is_other_month
from every;

-- ---------------------------------------------------------------- the provider's side of the facts

insert into reconciliation.refund_facts by name
with
settled as (
    select
        payouts.centra_return_id, lines.payout_line_id, -lines.gross_amount as amount, lines.happened_at, lines.source
    from tied_lines as lines
    join reconciliation.payouts using (payout_tie_id)
    where payouts.centra_return_id is not null and lines.currency = payouts.currency
    union all
    select centra_return_id, payout_tie_id, 0, credited_at, 'in no settlement file'
    from reconciliation.payouts
    semi join money_orders using (order_number)
    where verdict = 'not_settled'
),

-- A provider tells one amount: it is shared over what its Return is made of, in proportion.
shared as (
    select
        facts.*,
        sum(amount)
            over (partition by source order by fact_id rows between unbounded preceding and current row)
            as upto,
        sum(amount) over (partition by source) as whole
    from reconciliation.refund_facts as facts
    semi join (select distinct 'Return ' || centra_return_id as source from settled) as returns using (source)
    where facts.side = 'centra'
)

select
    'provider' as side, concat_ws(' ', 'provider', settled.payout_line_id, shared.fact_id) as fact_id, shared.return_id,
    shared.order_number, shared.return_item_id, shared.component, shared.currency,
    part_of(settled.amount, shared.upto - shared.amount, shared.upto, shared.whole, shared.currency) as amount,
    0 as in_goods,
    settled.happened_at, false as is_pending, settled.source
from settled
join shared on shared.source = 'Return ' || settled.centra_return_id
where shared.whole <> 0;
