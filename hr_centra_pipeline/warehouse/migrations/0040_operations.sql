-- What running it needs: which sources were looked at and when, what was new in them, what backfills read and left unsent.
create schema if not exists operations;

-- Headers that the profile of a file does not know: new columns of Happy Returns.
alter table landing.files add column unknown_headers varchar[];

-- One row per look at the folder of the exports, whether it could be read or not.
create table landing.exports_looks (
    looked_at timestamptz not null, files_listed bigint, files_new bigint, is_complete boolean not null, problem varchar,
    batch bigint not null
);

-- One row per slice of Centra's history that a backfill read by createdAt.
create table landing.centra_history (
    object varchar not null, window_from timestamptz not null, window_to timestamptz not null, rows_read bigint not null,
    rows_landed bigint not null, is_complete boolean not null, problem varchar, batch bigint not null,
    fetched_at timestamptz not null
);

-- One row per change of what Centra says about itself in its answers: its version, fields that we use and that will go.
create table landing.centra_versions (
    app_version varchar, deprecated_fields varchar[] not null, fetched_at timestamptz not null, batch bigint not null
);

-- One row per backfill, kind of effect, currency and reason: what it left unsent.
create table operations.backfill_reports (
    run_id varchar not null, from_day date not null, to_day date not null, effect_kind varchar, currency varchar,
    effects bigint not null, amount decimal(18, 4), reason varchar not null, finished_at timestamptz not null
);

-- Erasures of people: when, and how much was erased; never who.
create table operations.erasures (erased_at timestamptz not null, "by" varchar not null, places json not null);
