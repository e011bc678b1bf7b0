-- What landed rows said before a profile interpreted it (JSON, by column; null: what the typed columns say), so that rows can
-- be typed again by a profile that was mended; and which profiles a file was looked at with.
alter table landing.happy_returns_returns add column texts varchar;
alter table landing.happy_returns_items add column texts varchar;
alter table landing.happy_returns_refunds add column texts varchar;
alter table landing.happy_returns_shipments add column texts varchar;
alter table landing.files add column profiles_sha256 varchar;
-- One row per profile and kind: what of it landed rows were typed with.
create table landing.profiles (profile varchar not null, kind varchar not null, sha256 varchar not null, typed_at timestamptz not null);
