-- makes: staging.payout_lines, changed_payout_lines
-- changes: reconciliation.settled_orders
-- kind:  table
-- grain: one row per settlement line that counts
-- loop:  staging.payment_entries: the files are staged before Centra is pulled; which orders new lines are about is
--        looked up again in the matching
-- loop:  reconciliation.settled_orders: an order that new lines are about is not settled any more: this run looks at
--        it again

-- Settlement lines as they count: each payout of an account as its last file reports it, each transaction once, each type as the
-- present layouts map it.
create or replace temp table lines_as_typed as
select
    lines.*,
    case
        when set_aside is null then coalesce(types.line_type, lines.line_type)
        when set_aside = 'line_type' and (
                types.line_type in ('capture', 'fee', 'payout', 'other')
                or (gross_amount is not null and currency is not null)
            ) then coalesce(types.line_type, 'unknown')
        else 'unknown'
    end as present_type
from landing.payout_lines as lines
left join payout_types as types on types.provider = lines.provider and types.told_type = lines.told_type
-- Of a file that was read again by another layout the last reading counts, in the place of the first.
qualify lines.batch = max(lines.batch) over (partition by lines.first_batch);

-- The last file that reports a payout holds: what it reported is replaced as a whole. What a file reported by another layout than now has
-- replaced what was read before it: a file that is gone by now does not come back.
create or replace temp table replaced_payouts as
with
-- One row per payout and reading of its file.
file_readings as (
    select
        provider,
        account,
        payout_id,
        first_batch,
        batch,
        batch = max(batch) over (partition by first_batch) as is_last_reading
    from landing.payout_lines group by provider, account, payout_id, first_batch, batch
)

select distinct file_readings.provider, file_readings.account, file_readings.payout_id, file_readings.first_batch
from file_readings
join file_readings as later using (provider, account, payout_id)
where file_readings.is_last_reading
    and later.first_batch > file_readings.first_batch
    and (later.is_last_reading or later.batch > file_readings.batch);

-- What was landed before accounts and numbers were kept is reported again by a file that has them, when the two have a booking in
-- common.
create or replace temp table repeated_payouts as
select distinct before.provider, before.payout_id
from lines_as_typed as before
join lines_as_typed as since
    on since.provider = before.provider
        and since.payout_id = before.payout_id
        and since.first_batch > before.first_batch
        and since.reference = before.reference and since.told_type = before.told_type
where before.account = '' and since.account <> '';

-- One row per line that was landed without its number, and again with it.
create or replace temp table renumbered_lines as
select distinct before.provider, before.batch, before.source_line
from lines_as_typed as before
join lines_as_typed as since
    on since.provider = before.provider
        and since.transaction_id = before.reference
        and since.told_type = before.told_type
        and since.first_batch > before.first_batch
where before.transaction_id is null;

-- One report of a provider may have a column that another one has not: a booking that names no order is of the only one that the
-- same booking names in any of them.
create or replace temp table lines_with_orders as
select
    * replace (
        coalesce(
            order_number,
            case
                when min(order_number) over same_booking = max(order_number) over same_booking
                    then min(order_number) over same_booking
            end
        ) as order_number,
        case
            when transaction_id is null then payment_reference else
                coalesce(payment_reference, max(payment_reference) over same_booking)
        end
            as payment_reference
    )
from lines_as_typed
window same_booking as (
    partition by
        provider, present_type, transaction_id,
        case when transaction_id is null then
                concat_ws(
                    chr(31),
                    told_type,
                    coalesce(reference, payout_id || chr(31) || source_file || chr(31) || source_line),
                    coalesce(payment_reference, ''), coalesce(currency, ''), coalesce(gross_amount::varchar, ''),
                    coalesce(happened_at::varchar, '')
                )
        end
);

create or replace temp table counting_lines as
select
    lines.* exclude (landed_at, transaction_id, set_aside, present_type)
    replace (lines.present_type as line_type, coalesce(happened_at, landed_at) as happened_at),
    -- A booking is one by its number and order, where the layout has a unique number, whatever account's file reports it; else only
    -- when all that is reported of it is the same.
    case
        when transaction_id is not null
            then concat_ws(
                    chr(31), 'id', lines.provider, lines.present_type, transaction_id, coalesce(order_number, '')
                )
        when reference is not null
            and lines.present_type in (
                'capture', 'refund', 'refund_reversed', 'chargeback', 'chargeback_reversed', 'unknown'
            )
            then concat_ws(
                    chr(31),
                    'all',
                    lines.provider,
                    told_type,
                    reference,
                    coalesce(payment_reference, ''),
                    coalesce(order_number, ''),
                    coalesce(currency, ''), coalesce(gross_amount::varchar, ''), coalesce(happened_at::varchar, '')
                )
    end as booking,
    transaction_id is not null as is_numbered
from lines_with_orders as lines
anti join replaced_payouts using (provider, account, payout_id, first_batch)
anti join
    repeated_payouts
    on lines.account = '' and repeated_payouts.provider = lines.provider and repeated_payouts.payout_id = lines.payout_id
anti join renumbered_lines
    on renumbered_lines.provider = lines.provider
        and renumbered_lines.batch = lines.batch
        and renumbered_lines.source_line = lines.source_line;

create or replace temp table present_lines as
select
    concat_ws(' ', provider, nullif(account, ''), payout_id, source_line) as payout_line_id,
    columns(* exclude (booking, is_numbered, batch, first_batch))
from counting_lines
qualify booking is null or (
        dense_rank() over (partition by booking order by first_batch desc, account, payout_id) = 1
        and (
            not is_numbered or row_number() over (partition by booking order by first_batch desc, source_line desc) = 1
        )
    );

-- An order with a line that counts otherwise than before is not settled any more.
create or replace temp table changed_payout_lines as
with
-- One row per line, as it is now and as it was.
line_sides as (
    select *, true as is_present from present_lines
    union all by name
    select *, false from staging.payout_lines
)

select * exclude (is_present), count(*) as sides from line_sides group by all having count(*) = 1;

delete from reconciliation.settled_orders where order_number in (
        select order_number from changed_payout_lines
        union all
        select entries.order_number
        from (
            select order_number, unnest(list_append(provider_references, external_reference)) as reference
            from staging.payment_entries
        ) as entries
        semi join (
            select unnest([reference, payment_reference]) as reference
            from changed_payout_lines
            where line_type <> 'capture'
        ) as changed_references using (reference)
    );

delete from staging.payout_lines;
insert into staging.payout_lines by name from present_lines;
