-- One row per replacement that was canceled in Centra and that a person has decided about: order_again, or pay. ordinal: of the
-- canceled one (1: the first).
create table push.exchange_decisions (
    decision_id varchar not null, return_item_id varchar not null, ordinal bigint not null, decision varchar not null,
    decided_by varchar not null, recorded_by varchar, why varchar not null, decided_at timestamptz not null
);
