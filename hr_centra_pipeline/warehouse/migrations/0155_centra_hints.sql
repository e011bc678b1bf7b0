-- One row per change that Centra announced: by its webhook (source_id: the delivery; place: in it, from 1), or in its event queue
-- (source_id: the event; place 1). order_number: of a payment, where the queue shows it. pulled_at: when it was dealt with: its object
-- was pulled, or note says why it need not be.
create table landing.centra_hints (
    feed varchar not null, source_id varchar not null, place bigint not null,
    object_type varchar not null, object_id bigint not null, change varchar not null, order_number varchar,
    happened_at timestamptz, received_at timestamptz not null, landed_at timestamptz not null,
    batch bigint not null, pulled_at timestamptz, note varchar
);
-- One row per type of object whose events hr-centra has asked Centra's queue to keep for the token's integration name.
create table landing.centra_listeners (
    object_type varchar not null, change_types varchar[] not null, set_at timestamptz not null, batch bigint not null
);
