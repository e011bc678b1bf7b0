-- State: what cannot be rebuilt. Append-only but for push.ledger and push.packets, whose rows change state.
-- No primary keys and no ON CONFLICT: the same SQL is to run on DuckLake.
create schema if not exists landing;
create schema if not exists quarantine;
create schema if not exists push;
create schema if not exists reconciliation;
create schema if not exists meta;

-- One row per export file that was looked at, with its control totals: rows_read = landed + rejected + repeated.
create table landing.files (
    source_file varchar not null, file_sha256 varchar not null, kind varchar, profile varchar, byte_size bigint not null,
    source_time timestamptz, source_time_from varchar, modified_at timestamptz, rows_read bigint not null, rows_landed bigint not null,
    rows_rejected bigint not null, rows_repeated bigint not null, rows_conflicting bigint not null default 0,
    first_source_time timestamptz, last_source_time timestamptz,
    problem varchar, -- the whole file was refused: why
    batch bigint not null, received_at timestamptz not null
);

-- One row per landed row of an export, append-only, typed; batch: one per file, in the order of their source times.
create table landing.happy_returns_returns (
    return_id varchar, order_number varchar, order_id varchar, express_code varchar, external_rma_id varchar,
    retailer_id varchar, created_at timestamptz, refund_status varchar, dropoff_method varchar, items_total bigint,
    items_received bigint, items_approved varchar, started_at timestamptz, dropped_off_at timestamptz,
    last_approved_at timestamptz, expired_at timestamptz, customer_token varchar,
    profile varchar not null, row_sha256 varchar not null, source_time timestamptz not null, source_file varchar not null,
    source_line bigint not null, landed_at timestamptz not null, batch bigint not null
);
create table landing.happy_returns_items (
    item_id varchar, return_id varchar, express_code varchar, order_number varchar, order_id varchar,
    order_line_item_id varchar, unit_offset bigint, line_quantity bigint, sku varchar, upc varchar, product_variant_id
    varchar, label_barcode varchar, product_name varchar, category_id varchar, return_reason varchar, refund_type
    varchar, exchange_sku varchar, dropoff_method varchar, received_channel varchar, purchased_at timestamptz,
    received_at timestamptz, hub_received_at timestamptz, warehouse_received_at timestamptz, approved_at timestamptz,
    refunded_at timestamptz, condition varchar, inspection_outcome varchar, disposition varchar, bag_barcode varchar,
    return_item_id varchar, base_line_item_id varchar,
    profile varchar not null, row_sha256 varchar not null, source_time timestamptz not null, source_file varchar not null,
    source_line bigint not null, landed_at timestamptz not null, batch bigint not null
);
create table landing.happy_returns_refunds (
    refund_id varchar, return_id varchar, order_number varchar, refund_type varchar, issued_at timestamptz, status
    varchar, currency varchar, item_subtotal decimal(18,4), discount decimal(18,4), tax decimal(18,4), shipping_refund
    decimal(18,4), processing_fee decimal(18,4), fee_basis varchar, total_refunded decimal(18,4),
    exchange_order_number varchar, price_difference decimal(18,4), gift_card_id varchar, failure_reason varchar,
    item_ids varchar,
    profile varchar not null, row_sha256 varchar not null, source_time timestamptz not null, source_file varchar not null,
    source_line bigint not null, landed_at timestamptz not null, batch bigint not null
);
create table landing.happy_returns_shipments (
    shipment_id varchar, item_id varchar, express_code varchar, order_number varchar, sku varchar, carrier varchar,
    tracking varchar, inspection_outcome varchar, departed_at timestamptz, destination_address_id varchar,
    return_item_id varchar,
    profile varchar not null, row_sha256 varchar not null, source_time timestamptz not null, source_file varchar not null,
    source_line bigint not null, landed_at timestamptz not null, batch bigint not null
);
create view landing.happy_returns_rows as
select 'returns' as kind, source_file, source_line, profile, row_sha256, source_time, landed_at as received_at, batch
from landing.happy_returns_returns
union all by name
select 'items' as kind, source_file, source_line, profile, row_sha256, source_time, landed_at as received_at, batch
from landing.happy_returns_items
union all by name
select 'refunds' as kind, source_file, source_line, profile, row_sha256, source_time, landed_at as received_at, batch
from landing.happy_returns_refunds
union all by name
select 'shipments' as kind, source_file, source_line, profile, row_sha256, source_time, landed_at as received_at, batch
from landing.happy_returns_shipments;

-- Personal data stands here and nowhere else; other tables hold the token.
create table landing.personal (
    token varchar not null, source varchar not null, field varchar not null, value varchar, received_at timestamptz not null
);

-- One row per object of Centra as fetched, when it differs from the last one landed. payload: JSON without personal fields.
create table landing.centra_orders (
    order_number varchar not null, content_sha256 varchar not null, payload json not null,
    updated_at timestamptz not null, fetched_at timestamptz not null, batch bigint not null
);
create table landing.centra_shipments (
    shipment_id bigint not null, order_number varchar not null, content_sha256 varchar not null, payload json not null,
    updated_at timestamptz not null, fetched_at timestamptz not null, batch bigint not null
);
create table landing.centra_returns (
    centra_return_id bigint not null, order_number varchar not null, content_sha256 varchar not null, payload json,
    is_deleted boolean not null, created_at timestamptz not null, fetched_at timestamptz not null, batch bigint not null
);
create table landing.centra_stock_changes (
    stock_change_id bigint not null, content_sha256 varchar not null, payload json not null,
    created_at timestamptz not null, fetched_at timestamptz not null, batch bigint not null
);
create table landing.centra_warehouses (
    warehouse_id bigint not null, content_sha256 varchar not null, payload json not null,
    fetched_at timestamptz not null, batch bigint not null
);
create table landing.centra_replacement_stock (
    sku varchar not null, product_size_id bigint, free_quantity bigint not null,
    fetched_at timestamptz not null, batch bigint not null
);
-- One row per pull: its window by Centra's own timestamps, and whether it ended.
create table landing.centra_pulls (
    object varchar not null, window_from timestamptz, window_to timestamptz, rows_read bigint not null, rows_landed bigint not null,
    is_complete boolean not null, problem varchar, batch bigint not null, fetched_at timestamptz not null
);
-- Order numbers that were asked for and that Centra does not know: only this proves that there is no such order.
create table landing.centra_absent_orders (order_number varchar not null, fetched_at timestamptz not null, batch bigint not null);

create table quarantine.rejected_rows (
    source_file varchar not null, source_line bigint, kind varchar, column_name varchar, reason varchar not null,
    raw_text varchar, file_sha256 varchar, batch bigint not null, rejected_at timestamptz not null
);

create table push.ledger (
    effect_key varchar not null, effect_kind varchar, packet_key varchar, return_id varchar, return_item_id varchar,
    order_number varchar, shipment_line_id bigint, warehouse_id bigint, currency varchar, amount decimal(18, 4),
    state varchar not null, centra_id varchar, is_foreign boolean not null default false,
    input_sha256 varchar, -- of what was planned: a rejected effect is planned again when this changes
    reason varchar, -- of the present state, in Centra's or our words
    travels_alone boolean not null default false, -- its packet was refused without saying which member: sent alone, once
    planned_at timestamptz, updated_at timestamptz not null
);
-- One row per packet. step: the one under way or next. state: sending, unknown, confirmed, rejected, dissolved.
create table push.packets (
    packet_key varchar not null, operation varchar not null, members varchar[] not null, payload json not null,
    step varchar not null, state varchar not null, centra_id varchar, message varchar,
    payments_sent integer not null default 0, -- how often its paying call left us: a refund is sent again once at most
    needs_person boolean not null default false, -- in doubt for good: never sent again by itself
    real_sent_at timestamptz, -- real clock of its last call: settling counts from here
    created_at timestamptz not null, updated_at timestamptz not null
);
-- One row per call: inserted before it leaves (outcome 'started'), completed once afterwards, kept for good.
create table push.attempts (
    attempt_id varchar not null, packet_key varchar not null, step varchar not null, operation varchar not null, request_id varchar,
    started_at timestamptz not null, real_started_at timestamptz not null, outcome varchar not null, http_status integer,
    latency_ms bigint, message varchar, request json, response json
);
-- Returns before the cut-over that a person included by name.
create table push.adoptions (return_id varchar not null, adopted_by varchar not null, why varchar, adopted_at timestamptz not null);

create table reconciliation.exception_events (
    exception_id varchar not null, event varchar not null, "at" timestamptz not null, "by" varchar not null, proof varchar, note varchar,
    kind varchar not null, subject varchar
);

-- Keys that were made for this database alone.
create table meta.keys (name varchar not null, value varchar not null);
-- How far each reader of landing has come, and what derived tables were made with.
create table meta.watermarks (consumer varchar not null, batch bigint not null, updated_at timestamptz not null);
create table meta.derived_from (stage varchar not null, fingerprint varchar not null, updated_at timestamptz not null);
create sequence landing.batch_numbers start 1;
