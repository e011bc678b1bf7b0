-- Which feed brought a row: files, events (webhook deliveries) or api (answers of the partner API). Rows of files are whole states,
-- those of the others say what they say.
alter table landing.happy_returns_returns add column feed varchar default 'files';
alter table landing.happy_returns_items add column feed varchar default 'files';
alter table landing.happy_returns_refunds add column feed varchar default 'files';
alter table landing.happy_returns_shipments add column feed varchar default 'files';
-- One row per row that ties a return to a bag, append-only: `return.label.update`.
create table landing.happy_returns_bags (
    return_id varchar, bag_barcode varchar, express_code varchar,
    profile varchar not null, row_sha256 varchar not null, source_time timestamptz not null, source_file varchar not null,
    source_line bigint not null, landed_at timestamptz not null, batch bigint not null,
    texts varchar, said_batch bigint, feed varchar default 'files'
);
create or replace view landing.happy_returns_rows as
select 'returns' as kind, source_file, source_line, profile, row_sha256, source_time, landed_at as received_at, batch, feed
from landing.happy_returns_returns
union all by name
select 'items' as kind, source_file, source_line, profile, row_sha256, source_time, landed_at as received_at, batch, feed
from landing.happy_returns_items
union all by name
select 'refunds' as kind, source_file, source_line, profile, row_sha256, source_time, landed_at as received_at, batch, feed
from landing.happy_returns_refunds
union all by name
select 'shipments' as kind, source_file, source_line, profile, row_sha256, source_time, landed_at as received_at, batch, feed
from landing.happy_returns_shipments;

-- One row per webhook delivery of Happy Returns that was read, with its control totals: rows_read = landed + rejected + repeated.
-- The body stays in the inbox. A delivery that is read again keeps its row and gets other counts.
create table landing.events (
    delivery_id varchar not null, shop varchar not null, received_at timestamptz not null, body_sha256 varchar not null,
    byte_size bigint not null,
    message varchar, -- what the profile takes it for: return, label or outbound
    event varchar, type_id varchar,
    other_events varchar[], -- merged into it, the newest first: event and typeID
    rows_read bigint not null, rows_landed bigint not null, rows_rejected bigint not null, rows_repeated bigint not null,
    problem varchar, -- the whole delivery was refused: why
    problem_code varchar,
    repeats varchar, -- the delivery before it with the same bytes: nothing of this one was landed
    waits_for varchar[], -- units that no feed knows yet, and of which it does not say enough
    profile varchar, profiles_sha256 varchar,
    source_time timestamptz, -- the latest state that it tells of
    landed_at timestamptz not null, batch bigint not null
);
-- One row per look at the inbox. is_only_feed: no export files were configured.
create table landing.inbox_looks (
    looked_at timestamptz not null, deliveries bigint, is_only_feed boolean not null, is_complete boolean not null, problem varchar,
    batch bigint not null
);
