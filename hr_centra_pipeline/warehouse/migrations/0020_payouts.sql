-- Settlement files of payment providers: one row per file that was looked at, one per landed line, append-only.
create table landing.payout_files (
    source_file varchar not null, file_sha256 varchar not null, profile varchar, provider varchar, byte_size bigint not null,
    modified_at timestamptz, rows_read bigint not null default 0, rows_landed bigint not null default 0,
    rows_rejected bigint not null default 0, first_happened_at timestamptz, last_happened_at timestamptz,
    problem varchar, -- the whole file was refused: why
    batch bigint not null, received_at timestamptz not null
);
-- Amounts as the merchant sees them: what goes out is negative. gross_amount in the order's currency, the others in the
-- currency of the settlement.
create table landing.payout_lines (
    provider varchar not null, payout_id varchar not null, line_type varchar not null, told_type varchar not null, reference varchar,
    payment_reference varchar, order_number varchar, happened_at timestamptz, currency varchar, gross_amount decimal(18, 4),
    settlement_currency varchar, net_amount decimal(18, 4), fee_amount decimal(18, 4),
    source_file varchar not null, source_line bigint not null, landed_at timestamptz not null, batch bigint not null
);
