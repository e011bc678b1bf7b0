-- What the guards of the push keep: who let what through, what was stopped, what each push did.
alter table push.ledger add column first_sent_at timestamptz; -- real clock: a call with it left here first, and may still arrive
alter table push.ledger add column confirmed_at timestamptz; -- when Centra shows it, else when we were answered: baselines count by it
alter table push.packets add column trouble varchar; -- with needs_person: gone, not_ours, refused, unpaid, number_taken, canceled
alter table push.packets add column attempt json; -- the call under way: becomes a row of push.attempts with its outcome
alter table push.attempts add column effect_keys varchar[];

-- One row per push, completed at its end. limited: requests that Centra answered with 429.
create table push.pushes (
    push_id varchar not null, mode varchar not null, started_by varchar, policy_changed_by varchar, started_at timestamptz not null,
    real_started_at timestamptz not null, real_ended_at timestamptz, confirmed bigint, rejected bigint, in_doubt bigint,
    waiting bigint, writes bigint, requests bigint, limited bigint, halted varchar
);
-- One row per effect (or packet in doubt) that a person let through, as it stood then: another amount needs another approval.
create table push.approvals (
    approval_id varchar not null, effect_key varchar not null, input_sha256 varchar, currency varchar, amount decimal(18, 4),
    approved_by varchar not null, recorded_by varchar, why varchar not null, approved_at timestamptz not null
);
-- One row per effect type and currency (null: the count) up to which a guard is raised, until it expires.
create table push.raises (
    raise_id varchar not null, effect_type varchar not null, currency varchar, up_to decimal(18, 4) not null,
    raised_by varchar not null, recorded_by varchar, why varchar not null, raised_at timestamptz not null,
    expires_at timestamptz not null
);
-- One row per push, effect type and guard that stopped it.
create table push.breaches (
    push_id varchar not null, effect_type varchar not null, guard varchar not null, currency varchar, effects bigint not null,
    amount decimal(18, 4), allowed decimal(18, 4), detail varchar not null, breached_at timestamptz not null
);
-- One row per unit that a person tied a foreign refund or order to; return_item_id null: it is unrelated to any return.
create table push.ties (
    tie_id varchar not null, what varchar not null, centra_id varchar not null, order_number varchar, return_item_id varchar,
    currency varchar, amount decimal(18, 4), tied_by varchar not null, recorded_by varchar, why varchar not null,
    tied_at timestamptz not null
);
