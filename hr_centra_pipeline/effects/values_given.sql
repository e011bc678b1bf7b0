-- makes: valued_units, values_given, more_than
-- kind:  step
-- grain: one row per unit, way and source of value: what was given back for it
-- loop:  push.ledger, push.packets: what the last pushes gave, or may have given, counts before a pull shows it

-- What each matched unit of the active orders cost, and every value that was given back for it, by whatever way and hand.

-- One row per matched unit: what it cost.
create or replace temp table valued_units as
select
    matched.return_item_id, matched.return_id, matched.order_number, matched.currency, items.refund_type,
    matched.unit_price - coalesce(matched.voucher_share, 0) as paid,
    -- Where Centra adds the tax, it may give back a little more or less than it took: that is not given twice.
    policy.tax_slack(matched.tax_mode, matched.unit_tax, matched.currency) as slack,
    matched.foreign_centra_return_id,
    -- Its credit or replacement is planned, unless something holds it.
    not units.is_refused and (units.credit_due_at is not null or items.refund_type = 'exchange') as is_due
from matching.matched_items as matched
semi join matching.orders_in_play using (order_number)
join staging.return_items as items using (return_item_id)
join effects.units as units using (return_item_id)
where matched.shipment_line_id is not null;

-- One row per Return: what was paid on it (a request that is still open counts, one that failed gives nothing), and what one
-- payment of it is: its total; where Centra settles the tax after the payment, what was paid.
create or replace temp table payments_of_returns as
select
    centra_return_id, deleted_at is not null as is_deleted, settled as grand_total, refunded, gifted,
    exists(
        select 1 from staging.payment_entries as failures
        where failures.centra_return_id = settled_returns.centra_return_id and is_refund_failed(failures.money)
    ) as has_failed
from settled_returns;

-- A unit's part of what was paid on its Return: all of its value when the Return's total was paid once, twice it when twice.
create or replace temp macro part_of_payment(amount, paid, total, currency) as
case when paid = total then amount when total > 0 then coalesce(share_of(amount, paid, total, currency), 0) else 0 end;

create or replace temp macro more_than(amount, slack) as case when amount > slack then amount else 0 end::decimal(
    18, 4
);

create or replace temp table values_given as
with
-- One row per unit and each of our Returns that it is on. The Return of an exchange may have several effects of the unit: a
-- replacement that was ordered again, or the money that was given instead; the money shows what was called for.
our_returns as (
    select
        units.*, ledger.effect_kind, ledger.state,
        case ledger.effect_kind when 'credit_note' then ledger.amount else units.paid end as amount,
        packets.payload ->> 'pays_through' as pays_through, coalesce(packets.payments_sent, 0) as payments_sent,
        coalesce(packet_returns.made_return_id, try_cast(ledger.centra_id as bigint)) as centra_return_id,
        bool_or(ledger.effect_kind = 'exchange_order') over (
            partition by units.return_item_id, coalesce(centra_return_id::varchar, ledger.effect_key)
        ) as is_exchange
    from push.ledger
    join valued_units as units using (return_item_id)
    left join push.packets using (packet_key)
    left join packet_returns using (packet_key)
    where gives_value(ledger.effect_kind) and not ledger.is_foreign
        and ledger.state in ('sending', 'unknown', 'confirmed')
        -- A Return by hand from which our replacement was made: what is paid on it is counted as such.
        and (units.foreign_centra_return_id is null or centra_return_id is distinct from units.foreign_centra_return_id)
    qualify row_number() over (
            partition by units.return_item_id, coalesce(centra_return_id::varchar, ledger.effect_key)
            order by ledger.effect_kind, ledger.effect_key
        ) = 1
),

-- What Centra shows on our Returns; until it shows it, what we have called for.
our_payments as (
    select
        our_returns.return_item_id,
        'refund' as way,
        our_returns.is_exchange as is_instead,
        our_returns.state <> 'confirmed' as is_in_doubt,
        case
            when coalesce(payments.refunded, 0) > 0
                then
                    part_of_payment(
                        coalesce(our_returns.amount, our_returns.paid),
                        payments.refunded,
                        payments.grand_total,
                        our_returns.currency
                    )
            when our_returns.effect_kind = 'credit_note' and our_returns.pays_through = 'centra'
                and not coalesce(payments.has_failed or payments.is_deleted, false)
                and (
                    our_returns.state = 'confirmed'
                    or our_returns.payments_sent > 0
                    or payments.centra_return_id is null
                )
                then coalesce(our_returns.amount, our_returns.paid)
            else 0
        end as amount
    from our_returns left join payments_of_returns as payments using (centra_return_id)
    union all
    select
        our_returns.return_item_id, 'gift_card', our_returns.is_exchange, our_returns.state <> 'confirmed',
        case
            when coalesce(payments.gifted, 0) > 0
                then
                    part_of_payment(
                        coalesce(our_returns.amount, our_returns.paid),
                        payments.gifted,
                        payments.grand_total,
                        our_returns.currency
                    )
            when our_returns.effect_kind = 'credit_note'
                and our_returns.pays_through = 'gift_card'
                and coalesce(payments.refunded, 0) = 0
                and not coalesce(payments.is_deleted, false)
                and (
                    our_returns.state = 'confirmed'
                    or our_returns.payments_sent > 0
                    or payments.centra_return_id is null
                )
                then coalesce(our_returns.amount, our_returns.paid)
            else 0
        end
    from our_returns left join payments_of_returns as payments using (centra_return_id)
),

-- A replacement counts as the unit's value until it comes back itself, or is canceled.
exchange_values as (
    select
        ledger.return_item_id, 'exchange' as way, ledger.state <> 'confirmed' as is_in_doubt, units.paid as amount
    from push.ledger
    join valued_units as units using (return_item_id)
    where ledger.effect_kind = 'exchange_order' and ledger.state in ('sending', 'unknown', 'confirmed')
        and not exists (
            select 1 from exchange_links join effects.units as back using (return_item_id)
            where exchange_links.parent_id = ledger.return_item_id and back.credit_due_at is not null
        )
        and ledger.effect_key not in (select effect_key from effects.replacements where state = 'canceled')
),

-- Paid by Happy Returns or another party, as its rows show.
values_elsewhere as (
    select units.return_item_id, 'elsewhere' as way, false as is_in_doubt, any_value(units.paid) as amount
    from valued_units as units
    join paid_through as paid using (return_item_id)
    join staging.refunds using (refund_id)
    where units.refund_type <> 'exchange' or refunds.refund_type <> 'exchange'
    group by units.return_item_id
    having bool_or(
            paid.gift_card_id is not null
            or paid.unit_payer = 'elsewhere'
            -- Its replacement was sent: what was refunded before the payer was changed is still given on top of it.
            or (
                paid.sent_with is null and paid.seen_payer = 'elsewhere'
                and units.return_item_id in (select return_item_id from exchange_values)
            )
        )
),

-- On an external Return for it.
foreign_payments as (
    select
        units.return_item_id, 'external' as way, true as is_instead, false as is_in_doubt,
        part_of_payment(units.paid, payments.refunded + payments.gifted, payments.grand_total, units.currency) as amount
    from valued_units as units
    join payments_of_returns as payments on payments.centra_return_id = units.foreign_centra_return_id
    where not payments.is_deleted
),

-- Without a Return, as a person has tied it.
tied_refunds as (
    select units.return_item_id, 'tied' as way, false as is_in_doubt, ties.amount
    from push.ties
    join valued_units as units using (return_item_id)
    where ties.what = 'refund' and not exists (
            select 1 from staging.payment_entries as entries
            where try_cast(ties.centra_id as bigint) in (entries.entry_id, entries.request_id)
                and is_refund_failed(entries.money)
        )
)

from our_payments where amount <> 0
union all by name
from exchange_values
union all by name
from values_elsewhere
union all by name
from foreign_payments where amount <> 0
union all by name
from tied_refunds;
