-- makes: paid_through
-- kind:  step
-- grain: one row per unit and issued refund row of it, with who paid it
-- loop:  push.ledger, push.packets: the payer of a credit is the one that its packet was sent with

-- Of the active orders. A unit without an issued refund row has one row; so has a refund row that names no unit, without a unit.
-- `sent_with`: the payer that our credit was sent with; without its packet (our database was lost) Centra, where the Return
-- shows a payment. `seen_payers`: who may have paid at the time of the row, as the settings' history has it (payers_seen.sql).
-- `row_payer`: who paid what the row shows. `unit_payer`: the same, but what is not credited yet is paid by who pays now.
create or replace temp table paid_through as
with
issued_rows as (
    select
        refunds.refund_id,
        units.return_item_id,
        refunds.refund_type,
        refunds.return_id,
        refunds.order_number,
        refunds.gift_card_id,
        -- A row without a time was issued when it was last changed, at the latest.
        coalesce(refunds.issued_at, refunds.source_time) as issued_at
    from staging.refunds
    left join staging.refund_units as units using (refund_id)
    left join staging.return_items as items using (return_item_id)
    where refunds.status = 'issued' and (
            refunds.order_number in (from matching.orders_in_play)
            or items.order_number in (from matching.orders_in_play)
        )
),

-- One row per unit and issued refund row of it; a unit without a row has one, too.
reported_payments as (
    select
        refund_id, return_item_id, coalesce(issued_rows.return_id, items.return_id) as return_id,
        coalesce(issued_rows.order_number, items.order_number) as order_number, gift_card_id, issued_at,
        -- A unit that is to be exchanged was given its value by a row that is not its exchange's.
        case
            when items.refund_type <> 'exchange' then items.refund_type
            when issued_rows.refund_type <> 'exchange' then issued_rows.refund_type
            else 'refund'
        end as refund_type
    from issued_rows
    left join staging.return_items as items using (return_item_id)
    union all by name
    select
        items.return_item_id,
        return_id,
        order_number,
        case refund_type when 'exchange' then 'refund' else refund_type end as refund_type
    from staging.return_items as items
    semi join matching.orders_in_play using (order_number)
    anti join issued_rows on issued_rows.return_item_id = items.return_item_id
),

-- What a person has tied to the unit, or a gift card, paid it: then its credit was sent without a payment for that reason.
units_paid_otherwise as (
    select return_item_id from push.ties where what = 'refund' and return_item_id is not null
    union
    select return_item_id from issued_rows where gift_card_id is not null and return_item_id is not null
),

credit_payers as (
    select
        ledger.return_item_id,
        arg_max(
            case
                when ledger.is_foreign then null
                when packets.packet_key is null
                    then case when exists (
                                    select 1 from staging.payment_entries as entries
                                    where entries.centra_return_id = try_cast(ledger.centra_id as bigint)
                                        and is_given_back(entries.money)
                                ) then 'centra'
                        end
                when packets.payload ->> 'pays_through' <> 'elsewhere'
                    or ledger.return_item_id not in (from units_paid_otherwise)
                    then packets.payload ->> 'pays_through'
            end,
            ledger.updated_at
        ) as sent_with
    from push.ledger
    semi join reported_payments on reported_payments.return_item_id = ledger.return_item_id
    left join push.packets using (packet_key)
    where ledger.effect_kind = 'credit_note' and ledger.state in ('sending', 'unknown', 'confirmed')
    group by ledger.return_item_id
),

-- One row per refund row and type: who may have paid at its time.
row_payers as (
    select payments.refund_id, payments.refund_type, list(distinct payers.pays_through order by payers.pays_through) as seen_payers
    from (select distinct refund_id, refund_type, issued_at from reported_payments where refund_id is not null) as payments
    join payers_seen as payers
        on payers.refund_type = payments.refund_type and payments.issued_at > payers.after and payments.issued_at <= payers.until
    group by payments.refund_id, payments.refund_type
)

select
    reported_payments.return_item_id,
    reported_payments.refund_id,
    reported_payments.return_id,
    reported_payments.order_number,
    reported_payments.refund_type,
    reported_payments.gift_card_id,
    reported_payments.issued_at,
    credit_payers.sent_with, row_payers.seen_payers, ways.pays_through as pays_now,
    -- Between two plans with different payers it may have been either: what may have been paid elsewhere is not paid again.
    case when list_contains(row_payers.seen_payers, 'elsewhere') then 'elsewhere' else row_payers.seen_payers[1] end as seen_payer,
    coalesce(credit_payers.sent_with, seen_payer, pays_now) as row_payer,
    coalesce(credit_payers.sent_with, case when credit_payers.return_item_id is not null then seen_payer end, pays_now)
        as unit_payer
from reported_payments
left join credit_payers on credit_payers.return_item_id = reported_payments.return_item_id
left join
    row_payers
    on row_payers.refund_id = reported_payments.refund_id and row_payers.refund_type = reported_payments.refund_type
left join policy.pays_through as ways on ways.refund_type = reported_payments.refund_type;
