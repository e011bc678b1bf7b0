-- makes: staging.payment_entries, paying_orders
-- kind:  table
-- grain: one row per payment entry

-- one row per entry as fetched last: an order's history and a Return's refunds show the same entries, of which the
-- Return's are read again more often
create or replace temp table changed_entries as
with
entries_as_shown as (
    select
        order_number, fetched_at, 0 as rank, unnest(items_of(payload -> 'paymentHistory')) as entry,
        cast(null as bigint) as of_return
    from changed_orders
    union all by name
    select
        order_number, fetched_at, 1 as rank, unnest(items_of(payload -> 'refundPaymentHistory')) as entry,
        centra_return_id as of_return
    from changed_returns
    where not is_deleted
)

select
    cast(entry ->> 'id' as bigint) as entry_id,
    order_number,
    coalesce(of_return, cast(entry ->> '$.return.id' as bigint)) as centra_return_id,
    entry ->> 'entryType' as entry_type,
    entry ->> 'status' as status,
    did.money,
    did.instrument,
    did.is_refund,
    cast(null as bigint) as request_id,
    abs(amount(entry -> 'value')) as amount,
    currency_of(entry -> 'value') as currency,
    entry ->> 'externalReference' as external_reference,
    coalesce(from_json(entry -> 'providerReferences', '["varchar"]'), []) as provider_references,
    cast(entry ->> 'createdAt' as timestamptz) as created_at
from entries_as_shown
left join policy.payment_words as did on did.entry_type = (entry ->> 'entryType') and did.status = (entry ->> 'status')
qualify row_number() over (partition by entry_id order by fetched_at desc, rank desc) = 1;

delete from staging.payment_entries where entry_id in (select entry_id from changed_entries);

insert into staging.payment_entries by name
from changed_entries;

-- orders whose payments are read again: payments.sql goes on from here
create or replace temp table paying_orders as
select order_number from changed_orders
union
select order_number from changed_entries;
