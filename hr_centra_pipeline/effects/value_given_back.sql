-- One row per matched unit of the orders in play: what it cost, and what was given back for it by whatever way and hand:
-- never more than was paid, traced to the root order when the unit was itself sent in exchange.

-- One row per returned unit that was sent in exchange, with the unit that it replaced: of one article in the order of ids. The
-- article is the one that was sent, which may be another one than is asked for by now.
create or replace temp table replaced as
with
replacements as (
    select packets.packet_key as origin, orders.order_number, ledger.return_item_id as parent_id
    from staging.orders
    join push.packets on packets.packet_key = orders.origin_return_key
    join push.ledger on ledger.packet_key = packets.packet_key and ledger.effect_kind = 'exchange_order'
    union all
    -- Our database was lost: the ledger knows the key of the packet all the same.
    select orders.origin_return_key, orders.order_number, ledger.return_item_id
    from staging.orders
    join push.ledger on ledger.packet_key = orders.origin_return_key and ledger.effect_kind = 'exchange_order'
    anti join push.packets on packets.packet_key = orders.origin_return_key
    union all
    select 'tied', centra_id, return_item_id from push.ties where what = 'order' and return_item_id is not null
),

sent as (
    select return_item_id, replacement_order_number as order_number, min(replacement_sku) as sku
    from effects.replacements where replacement_sku is not null group by all
),

parents as (
    select
        replacements.order_number, replacements.parent_id, coalesce(sent.sku, items.exchange_sku, '-') as sku,
        row_number() over (
            partition by replacements.order_number, coalesce(sent.sku, items.exchange_sku, '-') order by parent_id
        ) as place
    from replacements
    join staging.return_items as items on items.return_item_id = replacements.parent_id
    left join sent on sent.return_item_id = replacements.parent_id and sent.order_number = replacements.order_number
),

children as (
    select
        return_item_id, order_number, coalesce(sku, '-') as sku,
        row_number() over (partition by order_number, coalesce(sku, '-') order by return_item_id) as place
    from matching.matched_items
    semi join parents using (order_number)
)

select children.return_item_id, children.order_number, parents.parent_id
from children
join parents using (order_number, sku, place);

-- One row per unit in an exchange chain: its root and how many exchanges lie between; and the last unit before it that was refused.
create or replace temp table chains as
with recursive
up as (
    select return_item_id, parent_id as root_id, 1 as depth from replaced
    union all
    select up.return_item_id, replaced.parent_id, up.depth + 1
    from up
    join replaced on replaced.return_item_id = up.root_id
    where up.depth < 50
)

select
    up.return_item_id, arg_max(up.root_id, up.depth) as root_id, max(up.depth) as depth,
    arg_min(up.root_id, up.depth) filter (where units.is_refused) as refused_id
from up
left join effects.units as units on units.return_item_id = up.root_id
group by up.return_item_id;

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
    exists (
        select 1 from staging.payment_entries as failed
        where failed.centra_return_id = settled_returns.centra_return_id and failed.money = 'refund_failed'
    ) as has_failed
from settled_returns;

-- A unit's part of what was paid on its Return: all of its value when the Return's total was paid once, twice it when twice.
create or replace temp macro part_of_payment(amount, paid, total, currency) as
    case when paid = total then amount when total > 0 then coalesce(share_of(amount, paid, total, currency), 0) else 0 end;

create or replace temp macro more_than(amount, slack) as case when amount > slack then amount else 0 end::decimal(18, 4);

-- One row per unit, way and source of value.
create or replace temp table values_given as
with
-- One row per unit and Return of ours that it is on. The Return of an exchange may have several effects of the unit: a
-- replacement that was ordered again, or the money that was given instead; the money tells what was called for.
ours as (
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
    where ledger.effect_kind in ('credit_note', 'exchange_order') and not ledger.is_foreign
        and ledger.state in ('sending', 'unknown', 'confirmed')
        -- A Return by hand from which our replacement was made: what is paid on it is counted as such.
        and (units.foreign_centra_return_id is null or centra_return_id is distinct from units.foreign_centra_return_id)
    qualify row_number() over (
        partition by units.return_item_id, coalesce(centra_return_id::varchar, ledger.effect_key)
        order by ledger.effect_kind, ledger.effect_key
    ) = 1
),

-- What Centra shows on our Returns; until it shows it, what we have called for.
ours_paid as (
    select
        ours.return_item_id, 'refund' as way, ours.is_exchange as is_instead, ours.state <> 'confirmed' as is_in_doubt,
        case
            when coalesce(payments.refunded, 0) > 0 then
                part_of_payment(coalesce(ours.amount, ours.paid), payments.refunded, payments.grand_total, ours.currency)
            when ours.effect_kind = 'credit_note' and ours.pays_through = 'centra'
                and not coalesce(payments.has_failed or payments.is_deleted, false)
                and (ours.state = 'confirmed' or ours.payments_sent > 0 or payments.centra_return_id is null)
                then coalesce(ours.amount, ours.paid)
            else 0
        end as amount
    from ours left join payments_of_returns as payments using (centra_return_id)
    union all
    select
        ours.return_item_id, 'gift_card', ours.is_exchange, ours.state <> 'confirmed',
        case
            when coalesce(payments.gifted, 0) > 0 then
                part_of_payment(coalesce(ours.amount, ours.paid), payments.gifted, payments.grand_total, ours.currency)
            when ours.effect_kind = 'credit_note' and ours.pays_through = 'gift_card' and coalesce(payments.refunded, 0) = 0
                and not coalesce(payments.is_deleted, false)
                and (ours.state = 'confirmed' or ours.payments_sent > 0 or payments.centra_return_id is null)
                then coalesce(ours.amount, ours.paid)
            else 0
        end
    from ours left join payments_of_returns as payments using (centra_return_id)
),

-- A replacement counts as the unit's value until it comes back itself, or is canceled.
exchanged as (
    select
        ledger.return_item_id, 'exchange' as way, ledger.state <> 'confirmed' as is_in_doubt, units.paid as amount
    from push.ledger
    join valued_units as units using (return_item_id)
    where ledger.effect_kind = 'exchange_order' and ledger.state in ('sending', 'unknown', 'confirmed')
        and not exists (
            select 1 from replaced join effects.units as back using (return_item_id)
            where replaced.parent_id = ledger.return_item_id and back.credit_due_at is not null
        )
        and ledger.effect_key not in (select effect_key from effects.replacements where state = 'canceled')
),

-- Paid by Happy Returns or somebody else, as its rows tell.
elsewhere as (
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
            and units.return_item_id in (select return_item_id from exchanged)
        )
    )
),

-- On a Return that somebody else made for it.
foreign_paid as (
    select
        units.return_item_id, 'foreign' as way, true as is_instead, false as is_in_doubt,
        part_of_payment(units.paid, payments.refunded + payments.gifted, payments.grand_total, units.currency) as amount
    from valued_units as units
    join payments_of_returns as payments on payments.centra_return_id = units.foreign_centra_return_id
    where not payments.is_deleted
),

-- Without a Return, as a person has tied it.
tied as (
    select units.return_item_id, 'tied' as way, false as is_in_doubt, ties.amount
    from push.ties
    join valued_units as units using (return_item_id)
    where ties.what = 'refund' and not exists (
        select 1 from staging.payment_entries as entries
        where try_cast(ties.centra_id as bigint) in (entries.entry_id, entries.request_id) and entries.money = 'refund_failed'
    )
)

from ours_paid where amount <> 0
union all by name from exchanged
union all by name from elsewhere
union all by name from foreign_paid where amount <> 0
union all by name from tied;

-- A chargeback (less what of it was won back) is about an order and names no unit: it counts on the returned units for which
-- something is still to be given, those first whose credit is due, in the order of ids, up to what they cost, so that nothing is
-- given on top of it. Only what blocks a credit that is due is counted: the rest the payouts tell as given twice.
create or replace temp table charged_back as
select lines.order_number, lines.currency, -sum(lines.gross_amount) as amount, orders.currency <> lines.currency as is_abroad
from bookings_of_orders as lines
semi join matching.orders_in_play on orders_in_play.order_number = lines.order_number
join staging.orders as orders on orders.order_number = lines.order_number
where lines.line_type in ('chargeback', 'chargeback_reversed')
group by all having -sum(lines.gross_amount) > 0;

insert into values_given by name
with
still_to_give as (
    select
        units.return_item_id, units.order_number, units.currency, units.is_due,
        more_than(units.paid - coalesce(sum(values_given.amount), 0), units.slack) as amount
    from valued_units as units
    semi join charged_back on charged_back.order_number = units.order_number and charged_back.currency = units.currency
    left join values_given using (return_item_id)
    group by units.return_item_id, units.order_number, units.currency, units.is_due, units.paid, units.slack
),

running as (
    select *, sum(amount) over (
        partition by order_number, currency order by is_due desc, return_item_id
    ) - amount as before
    from still_to_give
)

select
    return_item_id, 'chargeback' as way, false as is_in_doubt, least(running.amount, charged_back.amount - before) as amount
from running
join charged_back using (order_number, currency)
where running.amount > 0 and charged_back.amount > before;

delete from effects.chargebacks where order_number in (select order_number from matching.orders_in_play);
insert into effects.chargebacks by name
select charged_back.*, coalesce(counted.amount, 0)::decimal(18, 4) as counted
from charged_back
left join (
    select units.order_number, units.currency, sum(values_given.amount) as amount
    from values_given join valued_units as units using (return_item_id)
    where values_given.way = 'chargeback' and units.is_due
    group by units.order_number, units.currency
) as counted using (order_number, currency);

-- One row per order on which nothing more is given before a person has looked at what was settled: how much of it a chargeback in
-- another currency took back is not known, nor what a line means that nobody can read.
create or replace temp table order_holds as
select
    order_number,
    string_agg(money_text(amount, currency), ' and ' order by currency) as abroad,
    'waits for approval: a chargeback of ' || abroad || ' was booked on the order, in another currency' as chargeback_abroad,
    'chargeback_abroad ' || abroad as chargeback_code,
    case when bool_or(is_unknown) then
        'waits for approval: a settlement line of the order is not understood, and may be a chargeback (quarantine.rejected_rows)'
    end as unknown_booking,
    case when bool_or(is_unknown) then
        'unknown_booking ' || string_agg(payout_line_id, ' ' order by payout_line_id) filter (where is_unknown)
    end as booking_code
from (
    select order_number, currency, amount, false as is_unknown from charged_back where is_abroad
    union all by name
    select order_number, true as is_unknown, payout_line_id::varchar as payout_line_id from bookings_of_orders where line_type = 'unknown' and order_number is not null
)
group by order_number;

delete from effects.value_given_back where order_number in (select order_number from matching.orders_in_play);
insert into effects.value_given_back by name
with
given as (
    select
        return_item_id,
        sum(amount) filter (where way = 'refund') as refund,
        sum(amount) filter (where way = 'gift_card') as gift_card,
        sum(amount) filter (where way = 'exchange') as exchange,
        sum(amount) filter (where way = 'elsewhere') as elsewhere,
        sum(amount) filter (where way = 'foreign') as foreign_refund,
        sum(amount) filter (where way = 'tied') as tied_refund,
        sum(amount) filter (where way = 'chargeback') as chargeback,
        sum(amount) as given,
        sum(amount) filter (where way <> 'exchange') as money,
        bool_or(is_in_doubt) as is_in_doubt,
        coalesce(sum(amount) filter (where is_instead and not is_in_doubt), 0) as instead
    from values_given group by return_item_id
),

-- What the chain's root cost, and the money that was given anywhere in the chain.
roots as (
    select
        chains.return_item_id, chains.root_id, chains.depth, chains.refused_id, root.order_number as root_order,
        root.unit_price - coalesce(root.voucher_share, 0) as root_paid
    from chains
    join matching.matched_items as root on root.return_item_id = chains.root_id
),

chain_money as (
    select members.root_id, sum(coalesce(given.money, known.given - known.exchange)) as money
    from (
        select root_id, return_item_id from chains union select root_id, root_id from chains
    ) as members
    left join given using (return_item_id)
    left join effects.value_given_back as known using (return_item_id)
    group by members.root_id
)

select
    units.return_item_id, units.return_id, units.order_number, units.currency,
    coalesce(roots.root_id, units.return_item_id) as root_return_item_id,
    coalesce(roots.root_order, units.order_number) as root_order,
    coalesce(roots.depth, 0) as chain_depth,
    units.paid::decimal(18, 4) as paid,
    coalesce(refund, 0)::decimal(18, 4) as refund,
    coalesce(gift_card, 0)::decimal(18, 4) as gift_card,
    coalesce(exchange, 0)::decimal(18, 4) as exchange,
    coalesce(elsewhere, 0)::decimal(18, 4) as elsewhere,
    coalesce(foreign_refund, 0)::decimal(18, 4) as foreign_refund,
    coalesce(tied_refund, 0)::decimal(18, 4) as tied_refund,
    coalesce(chargeback, 0)::decimal(18, 4) as chargeback,
    coalesce(given, 0)::decimal(18, 4) as given,
    coalesce(is_in_doubt, false) as is_in_doubt,
    coalesce(units.refund_type = 'exchange' and instead > 0 and instead >= units.paid - units.slack, false) as is_paid_instead,
    -- The shopper has kept a piece: nothing is owed for the one that was sent in its place.
    case when roots.refused_id is not null then 0 else more_than(coalesce(roots.root_paid, units.paid) - case
        when roots.root_id is not null then coalesce(chain_money.money, 0) else coalesce(given, 0)
    end, units.slack) end as refundable,
    more_than(
        coalesce(given, 0) - case when roots.root_id is not null then greatest(units.paid, roots.root_paid) else units.paid end, units.slack
    ) as too_much
from valued_units as units
left join given using (return_item_id)
left join roots using (return_item_id)
left join chain_money on chain_money.root_id = roots.root_id;
