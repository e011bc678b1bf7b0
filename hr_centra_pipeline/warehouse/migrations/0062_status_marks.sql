-- What of ours Centra shows on an order or customer beside the order's own comment: our lines in the customer's internal comment,
-- our attribute's value. One row per object as fetched, when it differs from the last one landed, and after each write of ours.
-- mark: 'order 1001' or 'customer 7'. payload holds nothing that is not ours.
create table landing.centra_status_marks (
    mark varchar not null, object_type varchar not null, object_id varchar not null, content_sha256 varchar not null,
    payload json not null, fetched_at timestamptz not null, batch bigint not null
);
