-- kind:  query
-- grain: one row per standing alarm: how many rows of trouble, and the first of them

-- The standing alarms: each covers everything that is open, never the last run alone. One row per alarm; found: how
-- many rows of trouble, lines: the first of them in words, items: what each of them is about, whatever its words and order.
create or replace temp table alarms (alarm varchar, found bigint, lines varchar[], items varchar[]);

create or replace temp macro told_amount(amount, currency) as coalesce(' ' || money_text(amount, currency), '');

-- The words of these are `exception_texts.py`'s.
insert into alarms
select
    owner_team || '_has_no_overdue_exception', count(kind), [] as lines, list(exception_id) filter (where kind is not null)
from (select unnest($owners::varchar[]) as owner_team)
left join (from reconciliation.exceptions where overdue) using (owner_team)
group by owner_team;

insert into alarms
select
    'no_write_is_in_doubt_beyond_its_window', count(*),
    list(
        effect_kind
        || ' '
        || effect_key
        || ' of order '
        || coalesce(order_number, '?')
        || told_amount(amount, currency)
        || ', '
        || "state"
        || ' since '
        || strftime(updated_at, '%Y-%m-%d %H:%M')
        || coalesce(': ' || reason, '')
        order by updated_at, effect_key
    ),
    list(effect_key)
from push.ledger
where "state" in ('unknown', 'sending')
    and updated_at
    <= $now - to_hours((select window_hours::integer from policy.exception_kinds where kind = 'write_in_doubt'));

insert into alarms
select
    'every_disposition_is_mapped', count(*),
    list(
        disposition
        || ': '
        || units
        || ' units wait, first seen '
        || strftime(first_seen_at, '%Y-%m-%d')
        order by units desc, disposition
    ),
    list(disposition)
from reconciliation.unmapped_dispositions;

-- What cannot be read at this moment is reported by the check of its own pull.
insert into alarms
select
    'every_missed_hour_was_caught_up', count(*) filter (where caught_up_at is null),
    list(
        source
        || ' '
        || strftime(gap_from, '%Y-%m-%d %H:%M')
        || ' to '
        || strftime(gap_to, '%Y-%m-%d %H:%M')
        || ' ('
        || hours
        || ' h): '
        || detail order by gap_from
    ) filter (where caught_up_at is null
    ),
    list(source || ' ' || gap_from::varchar) filter (where caught_up_at is null)
from operations.coverage_gaps
where source <> gap_source_text('export_files') and gap_to < $now;

insert into alarms
select
    'every_hour_has_an_export_file', count(*) filter (where caught_up_at is null),
    list(
        strftime(gap_from, '%Y-%m-%d %H:%M')
        || ' to '
        || strftime(gap_to, '%Y-%m-%d %H:%M')
        || ' ('
        || hours
        || ' h): '
        || detail
        order by gap_from
    ) filter (where caught_up_at is null
    ),
    list(gap_from::varchar) filter (where caught_up_at is null)
from operations.coverage_gaps
where source = gap_source_text('export_files');

-- A day with fewer than 20 milestones proves nothing.
insert into alarms
select
    'events_reported_almost_everything', count(*),
    list(
        strftime(day, '%Y-%m-%d')
        || ': of '
        || milestones
        || ' starts and approvals, events missed '
        || missed
        || ' and reported '
        || late
        || ' late; files and the API reported ' || repaired
        || ' of them first. Is the webhook subscribed, and does the inbox answer? '
        || unverified || ' deliveries did not verify'
        order by day desc
    ),
    list(day::varchar)
from reconciliation.feed_days
cross join policy.parameters
where feed = 'events' and milestones >= 20 and day >= $now::date - 7
    and 100 * (late + missed) > parameters.missed_alarm_percent * milestones;

insert into alarms
select
    vendor || '_has_no_unknown_words', count(what),
    list(
        what
        || ' '
        || object
        || '.'
        || name
        || case value when '' then '' else ' = ' || value end
        || ' ('
        || times_seen
        || ' times since '
        || strftime(first_seen_at, '%Y-%m-%d') || '): ' || next_step order by what, object, name, value
    ) filter (where what is not null
    ),
    list(what || ' ' || object || '.' || name || '=' || value) filter (where what is not null)
from (values ('happy_returns'), ('centra')) as vendors (vendor)
left join operations.vendor_drift using (vendor)
group by vendor;

-- What differs in this Centra, with what to do about it. A schema that cannot be seen stops nothing, and is worth a question to Centra.
insert into alarms
with
-- One row per difference between Centra and what we assume of it.
contract_differences as (
    select
        case when stops then 'this_centra_fits_every_operation_of_ours' else 'this_centra_is_as_we_assume' end as alarm,
        *
    from operations.contract
    where verdict = 'differs' or kind = 'schema'
)

select
    alarm, count(coordinate),
    list(
        kind
        || ' '
        || coordinate
        || coalesce(' for ' || nullif(array_to_string(operations, ', '), ''), '')
        || ': expected '
        || expected
        || ', found ' || found || '. ' || remedy order by coordinate
    ) filter (where coordinate is not null
    ),
    list(kind || ' ' || coordinate) filter (where coordinate is not null)
from (values ('this_centra_fits_every_operation_of_ours'), ('this_centra_is_as_we_assume')) as both_alarms (alarm)
left join contract_differences using (alarm)
group by alarm;

-- Row-count identities: what was landed is staged, once; what is planned is in the ledger, once.
insert into alarms
with identities (name, one, other) as (
    select
        'returns landed and staged',
        (select count(distinct(return_id, order_number)) from landing.happy_returns_returns),
        (select count(*) from staging.returns)
    union all
    select
        'units landed and staged', (select count(distinct return_item_id) from landing.happy_returns_items),
        (select count(*) from staging.return_items)
    union all
    select
        'refunds landed and staged', (select count(distinct refund_id) from landing.happy_returns_refunds),
        (select count(*) from staging.refunds)
    union all
    select
        'orders landed and staged',
        (select count(distinct order_number) from landing.centra_orders),
        (select count(*) from staging.orders)
    union all
    select
        'shipments landed and staged', (select count(distinct shipment_id) from landing.centra_shipments),
        (select count(*) from staging.shipments)
    union all
    select
        'Centra returns landed and staged', (select count(distinct centra_return_id) from landing.centra_returns),
        (select count(*) from staging.centra_returns)
)

select
    'every_landed_key_is_staged_once', count(*) filter (where one <> other),
    list(name || ': ' || one || ' and ' || other order by name) filter (where one <> other),
    list(name) filter (where one <> other)
from identities;

insert into alarms
select
    'every_effect_is_in_the_ledger_once',
    count(*),
    list(effect_key || ' is there ' || times || ' times' order by effect_key),
    list(effect_key)
from (select effect_key, count(*) as times from push.ledger group by effect_key having count(*) > 1);

select
    alarm, found, coalesce(lines[:20], []) as lines,
    md5(array_to_string(list_sort(list_distinct(coalesce(items, []))), chr(10))) as identity
from alarms
order by alarm
