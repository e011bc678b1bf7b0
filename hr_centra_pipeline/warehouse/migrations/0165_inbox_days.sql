-- How many deliveries the inbox counted, by vendor and day, as of the last look: what did not verify is in no other table.
create table landing.inbox_days (
    vendor varchar not null, day date not null, received bigint not null, unverified bigint not null, refused bigint not null,
    looked_at timestamptz not null, primary key (vendor, day)
);
