-- Settings that decide what is due, one row per change. batch: up to where the sources were known when a plan was last made with them.
create table push.settings_seen (
    fingerprint varchar not null, batch bigint not null, seen_from timestamptz not null, seen_to timestamptz not null
);
-- Due only since a change of these settings, by what was known before it (that batch): a person is asked.
alter table push.ledger add column asked_batch bigint;
