-- What the full compare with Centra found that the increments had not shown: append-only.
create table landing.centra_differences (
    object varchar not null, -- returns, stock_changes, orders or shipments
    object_key varchar not null, order_number varchar,
    difference varchar not null, -- edited: other than landed, and nothing in Centra says so; missed: never landed; deleted
    fields varchar[], -- that differ, of edited ones
    created_at timestamptz, found_at timestamptz not null, batch bigint not null
);
