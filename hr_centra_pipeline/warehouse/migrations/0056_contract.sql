-- The contract with this Centra, as it was looked at last: one row per coordinate or behaviour that we rely on, next to what Centra has.
-- verdict: as_assumed, differs, cannot_be_seen. stops: the operations in it cannot be used until the remedy is applied.
-- effect_types: what the policy of that day sends with these operations. made_with: policy and program; a look with others is due at once.
create table operations.contract (
    kind varchar not null, coordinate varchar not null, basis varchar not null, operations varchar[] not null,
    effect_types varchar[] not null, expected varchar not null, found varchar not null, verdict varchar not null, stops boolean not null,
    remedy varchar not null, checked_at timestamptz not null, app_version varchar, made_with varchar not null
);
