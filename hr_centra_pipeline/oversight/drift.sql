-- makes: operations.vendor_drift
-- kind:  table
-- grain: one row per column, word or field of a vendor that neither profile nor policy knows

-- What is new at either vendor: columns and words that neither profile nor policy knows, fields of Centra's that will go.
delete from operations.vendor_drift;

insert into operations.vendor_drift by name
with
-- One row per file that came with the newest of its kind and profile: several may come at once, and not all have the column.
-- A column that was mapped or ignored since then is not new any more.
newest_files as (
    select kind, unknown_headers, received_at from landing.files where problem is null and kind is not null
    qualify rank() over (partition by kind, profile order by received_at desc) = 1
),

headers as (
    select
        files.kind as object, header as name, min(files.received_at) as first_seen_at, count(*) as times_seen
    from (select kind, received_at, unnest(unknown_headers) as header from landing.files) as files
    semi join (select kind, unnest(unknown_headers) as header from newest_files) as newest_headers using (kind, header)
    group by all
),

-- One row per word of Happy Returns in a column whose words the policy or the fact sheet lists.
words as (
    select 'items' as object, 'dropoff_method' as name, dropoff_method as value, source_time as seen_at
    from staging.return_items
    where dropoff_method not in (select dropoff_method from policy.triggers)
        and dropoff_method not in ('home-pickup', 'other')
    union all by name
    select 'items' as object, 'received_channel' as name, received_channel as value, source_time as seen_at
    from staging.return_items
    where received_channel not in (select dropoff_method from policy.triggers) and received_channel not in (
            'app',
            'store-app',
            'hosted',
            'mail-nolabel',
            'mail-nobox-nolabel',
            'mail-shopper-provided',
            'retailer-dashboard',
            'returnless'
        )
    union all by name
    -- Words of a closed list: their rows are in quarantine. Of files that were not delivered again since.
    select
        rejected.kind as object,
        rejected.column_name as name,
        rejected.word as value,
        rejected.rejected_at as seen_at
    from quarantine.rejected_rows as rejected
    semi join (
        select source_file, file_sha256 from landing.files
        qualify row_number() over (partition by source_file order by batch desc) = 1
        union all
        select 'event ' || delivery_id, body_sha256 from landing.events
    ) as latest_deliveries_of_files using (source_file, file_sha256)
    where rejected.word is not null and rejected.column_name <> 'retailer_id'
),

-- One row per word of one of Centra's enums to which the policy gives no meaning.
centra_words as (
    select object, name, value, seen_at, enum
    from (
        select 'order' as object, 'status' as name, status as value, created_at as seen_at, 'order_status' as enum
        from staging.orders
        union all by name
        select
            'payment' as object, 'entryType' as name, entry_type as value, created_at as seen_at, 'payment_type' as enum
        from staging.payment_entries
        union all by name
        select 'payment' as object, 'status' as name, status as value, created_at as seen_at, 'payment_status' as enum
        from staging.payment_entries
        union all by name
        select
            'return' as object, 'returnStatus' as name, status as value, created_at as seen_at, 'return_status' as enum
        from staging.centra_returns
        union all by name
        -- A text, not an enum: it matters where no admin user says who made the Return.
        select
            'return' as object,
            'createdFrom' as name,
            created_from as value,
            created_at as seen_at,
            'return_created_from' as enum
        from staging.centra_returns
        where created_from is not null and made_by = 'unknown'
        union all by name
        select
            'stock change' as object,
            'type' as name,
            "type" as value,
            created_at as seen_at,
            'stock_change_type' as enum
        from staging.stock_changes
        union all by name
        select
            'warehouse' as object, 'status' as name, status as value, fetched_at as seen_at, 'warehouse_status' as enum
        from staging.warehouses
        union all by name
        select
            'warehouse' as object,
            'stockMaster' as name,
            stock_master as value,
            fetched_at as seen_at,
            'stock_master' as enum
        from staging.warehouses
    ) as words
    anti join policy.centra_words as known on known.enum = words.enum and known.word = words.value
),

-- One row per field that Centra announces to remove.
deprecations as (
    select unnest(deprecated_fields) as name, fetched_at from landing.centra_versions
    qualify row_number() over (order by batch desc) = 1
)

select
    'happy_returns' as vendor, object, 'new column' as what, name, '' as value, first_seen_at, times_seen,
    'Map it in the header profile if it is useful, otherwise list it under [ignored].' as next_step
from headers
union all by name
select
    'happy_returns' as vendor,
    object,
    'new word' as what,
    name,
    value,
    min(seen_at) as first_seen_at,
    count(*) as times_seen,
    'Map the word in the header profile or in the policy.' as next_step
from words
group by all
union all by name
select
    'centra' as vendor, object, 'new word' as what, name, value, min(seen_at) as first_seen_at, count(*) as times_seen,
    case any_value(enum)
        when 'stock_change_type'
            then 'List it under [centra.words.stock_change_type] expected to stop this report; nothing '
                || 'depends on it.'
        else 'Define its meaning in the policy ([centra.words.' || any_value(enum)
            || '], in addition to the default words); until then no decision uses it.'
    end as next_step
from centra_words
group by all
union all by name
select
    'centra' as vendor,
    'GraphQL' as object,
    'deprecated field' as what,
    name,
    '' as value,
    min(fetched_at) as first_seen_at,
    1 as times_seen, 'Centra will remove this field: hr-centra needs an update before that.' as next_step
from deprecations
group by all
union all by name
select
    'centra' as vendor,
    "object",
    'unexpected shape' as what,
    'page' as name,
    '' as value,
    fetched_at as first_seen_at,
    1 as times_seen,
    left(problem, 500) as next_step
from (
    select *
    from landing.centra_pulls
    where not starts_with("object", 'event_') -- the polls report the same
    qualify row_number() over (partition by "object" order by batch desc, fetched_at desc) = 1
)
where not is_complete and rows_refused > 0
