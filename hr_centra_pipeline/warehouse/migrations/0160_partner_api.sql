-- What the partner API of Happy Returns was asked, and what it answered.

-- One row per call: what was asked (criterion and value, never an e-mail), why, and what came of it. Its body is not kept.
-- page: of one look-up, from 1; is_last: it ended with this page.
create table landing.partner_answers (
    answer_id varchar not null, criterion varchar not null, value varchar not null, reason varchar not null, page bigint not null,
    http_status bigint, bytes bigint not null, sha256 varchar, rows_read bigint not null, rows_landed bigint not null,
    rows_rejected bigint not null, rows_repeated bigint not null, is_last boolean not null, has_next boolean not null,
    problem varchar, asked_at timestamptz not null, batch bigint not null
);

-- One row per outbound shipment as it was listed, when that differs from how it was listed before.
create table landing.partner_shipments (
    shipment_id varchar not null, content_sha256 varchar not null, listed_at timestamptz not null, batch bigint not null
);

-- One row per run that had something to ask: how much was asked, how much stays in line, and why it stopped early.
-- shipments_until: outbound shipments were listed without a gap until then.
create table landing.partner_looks (
    looked_at timestamptz not null, requests bigint not null, look_ups bigint not null, nothing_found bigint not null,
    rows_landed bigint not null, waiting bigint not null, waits_since timestamptz, shipments_until timestamptz,
    is_complete boolean not null, problem varchar, batch bigint not null
);
