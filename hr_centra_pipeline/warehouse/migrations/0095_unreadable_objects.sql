-- Objects of Centra's that did not fit when they were read last: each later pull asks for them by id until they do.
create table landing.centra_unreadable (
    object varchar not null, object_id bigint not null, since timestamptz not null, problem varchar not null
);
-- One row per pull that came to its end and named what did not fit: the next one starts there all the same.
create table landing.centra_reached (object varchar not null, window_to timestamptz, batch bigint not null, fetched_at timestamptz not null);
