-- One row per credit that is due and not in Centra: a unit's, and a return's shipping and fee on one order.

-- Of a value that was given back in part: how much, and what is left for a person to decide about.
create or replace temp macro rest_text(given, amount, currency) as case when given > 0 and given < amount then
    ': ' || money_text(given, currency) || ' of ' || money_text(amount, currency) || '; ' || money_text(amount - given, currency) || ' is left'
    else '' end;

-- One row per unit whose replacement somebody has canceled in Centra, and that gets its money after all: a person has decided so,
-- or Happy Returns refunds it now. It is paid on the Return of ours that the replacement was made from, and that says what the
-- unit cost: as much of a voucher as the Return carries, as Centra keeps it.
create or replace temp table paid_instead as
select
    canceled.return_item_id, canceled.centra_return_id as origin_return_id, decisions.decided_at,
    matched.unit_price - ledger.amount as voucher_given,
    nullif(
        voucher_given - added_within_part(matched.unit_tax_added, voucher_given, matched.unit_price - matched.unit_tax_added, matched.currency), 0
    ) as voucher
from effects.replacements as canceled
semi join matching.orders_in_play using (order_number)
join push.ledger using (effect_key)
join staging.return_items as items on items.return_item_id = canceled.return_item_id
join matching.matched_items as matched on matched.return_item_id = canceled.return_item_id
left join push.exchange_decisions as decisions on decisions.return_item_id = canceled.return_item_id
    and decisions.ordinal = canceled.ordinal and decisions.decision = 'pay'
where canceled.state = 'canceled' and canceled.centra_return_id is distinct from matched.foreign_centra_return_id
    and (decisions.decision is not null or items.refund_type <> 'exchange')
qualify row_number() over (partition by canceled.return_item_id order by canceled.ordinal desc) = 1;

-- One row per unit whose credit is due and not given by anybody.
create or replace temp table due_units_before_vouchers as
select
    effect_key('credit_note', [units.return_item_id]) as effect_key,
    units.* replace (greatest(units.credit_due_at, instead.decided_at) as credit_due_at),
    instead.origin_return_id,
    items.refund_type,
    items.express_code,
    items.dropoff_method,
    items.received_channel,
    matched.shipment_id,
    matched.shipment_line_id,
    matched.reason as unmatched_reason,
    matched.doubt,
    matched.doubtful_return_id,
    matched.sku,
    matched.currency,
    matched.unit_price,
    matched.unit_tax,
    matched.unit_tax_added,
    matched.tax_mode,
    -- As Centra keeps it, before tax: what is sent, and what sums to the order's voucher.
    coalesce(instead.voucher, matched.voucher_share - matched.voucher_tax_added)::decimal(18, 4) as voucher_share,
    lines.tax_percent,
    paid.refund_id,
    paid.row_at,
    paid.item_fee,
    coalesce(paid.is_card_pending, false) and not paid.is_given_already as is_card_pending,
    value.chain_depth,
    value.root_order,
    chains.refused_id,
    value.refundable,
    value.exchange + value.chargeback + case when value.elsewhere > 0 then 0 else value.tied_refund end as given_otherwise,
    case
        when paid.is_given_already or value.tied_refund >= matched.unit_price - matched.voucher_share - policy.tax_slack(
            matched.tax_mode, matched.unit_tax, matched.currency
        ) then 'elsewhere'
        else coalesce(ways.pays_through, 'elsewhere')
    end as pays_through,
    least(coalesce(paid.row_at, 'infinity'::timestamptz), units.credit_due_at + to_hours(parameters.amount_wait_hours::integer)) as amount_known_at
from effects.units as units
semi join matching.orders_in_play using (order_number)
cross join policy.parameters
join staging.return_items as items using (return_item_id)
join matching.matched_items as matched using (return_item_id)
left join staging.order_lines as lines on lines.order_line_id = matched.order_line_id
left join effects.value_given_back as value using (return_item_id)
left join chains on chains.return_item_id = units.return_item_id
left join paid_units as paid using (return_item_id)
left join paid_instead as instead on instead.return_item_id = units.return_item_id
left join policy.pays_through as ways on ways.refund_type = case items.refund_type when 'exchange' then 'refund' else items.refund_type end
where
    (items.refund_type <> 'exchange' or instead.origin_return_id is not null)
    and units.credit_due_at is not null
    and not units.is_refused
    and matched.foreign_centra_return_id is null
    and (units.is_after_cutover is distinct from false or units.credit_due_at >= parameters.cutover)
    and effect_key('credit_note', [units.return_item_id]) not in (select effect_key from done);

-- One row per order with a voucher: what is left of it, and how many pieces have not come back. A Return carries the part
-- that it carries, whoever made it; an exchanged unit whose Return carries none (an order in several shipments, a Return made
-- by hand or by an earlier version) takes its share with it; a Return of ours that no pull has shown yet, what its packet says.
create or replace temp table vouchers_left as
with
orders as (
    select order_number, discounts from staging.orders semi join matching.orders_in_play using (order_number)
    where discounts > 0
),

shown as (
    select
        returns.order_number, sum(returns.discounts) as carried,
        sum((
            select sum(lines.quantity) from staging.centra_return_lines as lines
            where lines.centra_return_id = returns.centra_return_id
        )) as pieces
    from staging.centra_returns as returns
    semi join orders using (order_number)
    where returns.deleted_at is null
    group by returns.order_number
),

not_shown as (
    select
        packets.payload ->> 'order_number' as order_number,
        sum(coalesce((packets.payload ->> 'voucher')::decimal(18, 4), 0)) as carried,
        sum(list_sum(list_transform(
            from_json(packets.payload -> 'lines', '[{"members": ["VARCHAR"]}]'), lambda line: len(line.members)
        ))) as pieces
    from push.packets
    semi join orders on orders.order_number = packets.payload ->> 'order_number'
    where packets.operation in ('credit', 'exchange') and packets.state in ('sending', 'unknown', 'confirmed')
        and (packets.payload ->> 'first_step') is null -- it brings no Return of its own
        and not exists (
            select 1 from staging.centra_returns as returns where returns.packet_key = packets.packet_key
        )
    group by all
),

exchanged as (
    select order_number, sum(voucher_share) as carried
    from (
        select matched.return_item_id, matched.order_number, matched.voucher_share - matched.voucher_tax_added as voucher_share
        from push.ledger
        join matching.matched_items as matched using (return_item_id)
        semi join orders on orders.order_number = matched.order_number
        left join push.packets using (packet_key)
        left join packet_returns using (packet_key)
        left join staging.centra_returns as returns
            on returns.centra_return_id = coalesce(packet_returns.made_return_id, matched.foreign_centra_return_id)
        where ledger.effect_kind = 'exchange_order' and ledger.state in ('sending', 'unknown', 'confirmed')
        group by all
        having max(greatest(
            coalesce((packets.payload ->> 'voucher')::decimal(18, 4), 0), coalesce(returns.discounts, 0)
        )) = 0
    )
    group by order_number
),

ordered as (
    select order_number, sum(quantity) as pieces from staging.order_lines semi join orders using (order_number)
    group by order_number
)

select
    orders.order_number,
    orders.discounts - coalesce(shown.carried, 0) - coalesce(not_shown.carried, 0) - coalesce(exchanged.carried, 0) as voucher_left,
    ordered.pieces - coalesce(shown.pieces, 0) - coalesce(not_shown.pieces, 0) as pieces_left
from orders
join ordered using (order_number)
left join shown using (order_number)
left join not_shown using (order_number)
left join exchanged using (order_number);

-- A unit's part of its order's voucher: its share, as far as it is left; the last piece of the order takes the rest.
create or replace temp macro voucher_part(unit_price, voucher_share, voucher_left, shares_before, is_last) as greatest(0, least(
    unit_price, voucher_left - coalesce(shares_before, 0), case when is_last then unit_price else voucher_share end
));

-- One row per due unit with its part of the voucher. What is under way, or paid on a Return that is there, keeps the share that
-- it was sent with.
create or replace temp table due_units as
with
ranked as (
    select
        due.*, left_over.voucher_left, left_over.pieces_left,
        row_number() over open_units as place,
        count(*) over (partition by due.order_number, due.has_its_share) as open_units,
        sum(due.voucher_share) over (open_units rows between unbounded preceding and 1 preceding) as shares_before
    from (
        select
            due.*, coalesce(ledger.state in ('sending', 'unknown'), false) or due.origin_return_id is not null as has_its_share
        from due_units_before_vouchers as due
        left join push.ledger on ledger.effect_key = due.effect_key
    ) as due
    left join vouchers_left as left_over using (order_number)
    window open_units as (partition by due.order_number, due.has_its_share order by due.credit_due_at, due.effect_key)
),

shared as (
    select
        * exclude (voucher_share),
        case
            when voucher_left is null or has_its_share then voucher_share
            else voucher_part(
                unit_price - unit_tax_added, voucher_share, voucher_left, shares_before, place = open_units and open_units >= pieces_left
            )
        end::decimal(18, 4) as voucher_share
    from ranked
),

-- What Centra adds to the voucher is tax that is taken off.
taxed as (
    select *, added_to_part(unit_tax_added, voucher_share, unit_price - unit_tax_added, currency) as voucher_tax_added from shared
)

select
    * exclude (has_its_share, voucher_left, pieces_left, place, open_units, shares_before),
    unit_tax - voucher_tax_of(tax_mode, voucher_share, voucher_tax_added, tax_percent, currency) as tax,
    unit_price - voucher_share - voucher_tax_added as amount,
    unit_tax_added - voucher_tax_added as tax_added
from taxed;

-- One row per order: why nothing may be paid on it.
create or replace temp table order_blocks as
select
    orders.order_number,
    orders.captured <= 0 and orders.capture_pending <= 0 as nothing_captured,
    orders.captured <= 0 and orders.capture_pending > 0 as waits_for_capture,
    orders.has_unknown_payment,
    exists (
        select 1 from staging.payment_entries as entries
        where entries.order_number = orders.order_number and entries.centra_return_id is null
            and not exists (
                select 1 from push.ties where ties.what = 'refund' and ties.centra_id in (entries.entry_id::varchar, entries.request_id::varchar)
            )
            and policy.is_given(entries.money)
    ) as has_untied_refund,
    orders.discounts > 0 and (
        select count(*) from staging.shipments where shipments.order_number = orders.order_number
    ) > 1 as has_shared_voucher,
    holds.chargeback_abroad,
    holds.chargeback_code,
    holds.unknown_booking,
    holds.booking_code
from staging.orders
left join order_holds as holds using (order_number)
semi join matching.orders_in_play using (order_number);

-- One row per shipment whose money was not charged, as far as anybody can say: Centra has it as not captured, and what was captured
-- on its order does not reach for all of those beside the shipments that are. What others have paid is not given back for it; which of
-- several was charged is not known, so that each of them waits.
create or replace temp table uncaptured_shipments as
select shipment_id, capture_pending > 0 as is_requested
from (
    select
        shipments.shipment_id, shipments.is_captured, orders.captured, orders.capture_pending,
        sum(shipments.grand_total) filter (where shipments.is_captured) over (partition by shipments.order_number) as charged,
        sum(shipments.grand_total) over (partition by shipments.order_number) as to_charge
    from staging.shipments as shipments
    join staging.orders as orders using (order_number)
    semi join matching.orders_in_play using (order_number)
)
where not is_captured and charged > 0 and captured < to_charge;

-- One row per refund row that differs from what Centra sold by more than the tolerance (asked for by on_difference = hold).
create or replace temp table differing_rows as
select refund_id
from (
    select
        paid.refund_id, paid.told_for_items, matched.currency, sum(matched.unit_price - matched.voucher_share) as sold,
        any_value(matched.tax_mode) as tax_mode, sum(matched.unit_tax)::decimal(18, 4) as tax
    from paid_units as paid
    join matching.matched_items as matched using (return_item_id)
    group by paid.refund_id, paid.told_for_items, matched.currency
)
left join policy.tolerance using (currency)
where abs(told_for_items - sold) > greatest(
    coalesce(tolerance.absolute, 0),
    coalesce(share_of(told_for_items, tolerance.percent, 100::decimal(18, 4), currency), 0),
    coalesce(policy.tax_slack(tax_mode, tax, currency), 0)
);

-- One row per return on an order of which a refund row reports a gift card, and pays none of its units (it was issued before they
-- were approved, or there is none of its type): the money of one of them was given, or will be, and nobody knows of which.
create or replace temp table unplaced_gift_cards as
select
    refunds.return_id, refunds.order_number, min(refunds.refund_id) filter (where refunds.status = 'issued') as refund_id,
    bool_or(refunds.status = 'pending' and refunds.refund_type <> 'exchange') as is_pending
from staging.refunds
semi join matching.orders_in_play using (order_number)
anti join staging.refund_units as units on units.refund_id = refunds.refund_id
where refunds.status in ('issued', 'pending') and refunds.gift_card_id is not null
group by all;

delete from effects.pending_credit_notes;
insert into effects.pending_credit_notes by name
with
blocked as (
    select
        due_units.*,
        -- The tax of the fee, until Centra shows it: that of the goods.
        case when tax_mode = 'added' and parameters.return_cost_is_taxed then tax_added else 0 end as fee_rate_tax,
        amount - tax_added as kept,
        case
            when is_after_cutover is null then 'the start of its return is not known'
            when not is_after_cutover then 'its return was started before the cut-over: adopt it to act'
            when shipment_line_id is null then 'no shipment line: ' || unmatched_reason
            when doubt is not null then doubt_text(doubt, doubtful_return_id, sku)
            when chain_depth > 0 and refused_id is not null then 'it was sent in exchange for ' || refused_id
                || ', which was refused: nothing may be refunded for it'
            when chain_depth > 0 then 'it was sent in exchange, and its order captured nothing: of root order ' || root_order
                || ' may be refunded by hand ' || money_text(refundable, currency)
            when pays_through <> 'elsewhere' and given_otherwise > 0 then
                'its value was given back already: by a replacement, a chargeback or a refund that was tied to it'
                || rest_text(given_otherwise, amount, currency)
            when pays_through <> 'elsewhere' and (is_card_pending or unplaced.is_pending) then
                'Happy Returns gives a gift card for it, which is pending: what comes of that decides'
            when pays_through = 'gift_card' and parameters.gift_card_template is null then
                'gift cards cannot be issued: the policy has no [gift_card] template'
            when pays_through <> 'elsewhere' and blocks.has_unknown_payment then
                'the meaning of a payment of the order is not known: add its words to [centra.words] in the policy'
            when pays_through <> 'elsewhere' and blocks.nothing_captured then 'nothing was captured on the order'
            when pays_through <> 'elsewhere' and (blocks.waits_for_capture or uncaptured.is_requested) then
                'the payment provider has not confirmed the capture yet'
            when pays_through <> 'elsewhere' and uncaptured.shipment_id is not null then
                'nothing was captured on its shipment'
            when pays_through <> 'elsewhere' and blocks.has_untied_refund then
                $untied_refund
            -- What a person may let through comes last: an approval of it is about nothing else.
            when pays_through <> 'elsewhere' and blocks.chargeback_abroad is not null then blocks.chargeback_abroad
            when pays_through <> 'elsewhere' and unplaced.refund_id is not null then
                'waits for approval: a gift card was given for a unit of the return, and Happy Returns'' refund row '
                || unplaced.refund_id || ' does not say for which'
            when pays_through <> 'elsewhere' and blocks.unknown_booking is not null then blocks.unknown_booking
            when voucher_share > 0 and blocks.has_shared_voucher then
                'waits for approval: a voucher on an order with several shipments'
            when parameters.on_difference = 'hold' and differing.refund_id is not null then
                'waits for approval: Happy Returns'' refund row differs from what Centra sold'
        end as blocked_by,
        list_filter([
            case when pays_through <> 'elsewhere' then blocks.chargeback_code end,
            case when pays_through <> 'elsewhere' then 'unplaced_gift_card ' || unplaced.refund_id end,
            case when pays_through <> 'elsewhere' then blocks.booking_code end,
            case when voucher_share > 0 and blocks.has_shared_voucher then 'shared_voucher' end,
            case when parameters.on_difference = 'hold' then 'differing_row ' || differing.refund_id end
        ], lambda code: code is not null) as approval_codes,
        parameters.fee_basis,
        parameters.fee_source,
        parameters.reported_costs
    from due_units
    cross join policy.parameters
    left join order_blocks as blocks using (order_number)
    left join uncaptured_shipments as uncaptured using (shipment_id)
    left join differing_rows as differing using (refund_id)
    left join unplaced_gift_cards as unplaced on unplaced.return_id = due_units.return_id and unplaced.order_number = due_units.order_number
),

-- The fee of a unit, as Centra keeps it: before tax.
item_fees as (
    select
        blocked.*,
        -- Never more than is given: where Centra deducts tax, that is less than what it keeps.
        -- One basis per return: where a fee of the whole return was taken before the policy changed, that was its fee.
        (case when fee_basis = 'item' and refund_type = 'refund' and origin_return_id is null and received_channel is distinct from 'returnless'
            and return_id not in (select return_id from fees_charged where effect_kind = 'return_fee')
        then
            least(kept, blocked.amount, case
                when fee_source = 'happy_returns' and refund_id is not null then
                    kept_of_told(coalesce(item_fee, 0), fee_rate_tax, kept, reported_costs, currency)
                else rounded_money(coalesce(policy.zone_fee(dropoff_method, currency, order_number), fees.amount, 0), currency)
            end)
        else 0 end)::decimal(18, 4) as fee_kept
    from blocked
    left join policy.fees as fees using (dropoff_method, currency)
),

credits as (
    select
        effect_key,
        'credit_note' as effect_kind,
        order_number as group_key,
        return_id,
        return_item_id,
        order_number,
        shipment_id,
        shipment_line_id,
        sku,
        1 as quantity,
        currency,
        blocked.amount,
        blocked.amount - tax as items,
        tax,
        cast(0 as decimal(18, 4)) as shipping,
        fee_kept + fee_tax_added as fee,
        voucher_share as voucher,
        tax_mode,
        tax_added,
        fee_tax_added,
        fee_rate_tax,
        kept,
        pays_through,
        express_code,
        refund_id,
        origin_return_id,
        credit_due_at as trigger_at,
        greatest(credit_due_at, amount_known_at) as sendable_at,
        blocked_by,
        approval_codes,
        credit_trigger,
        refund_type,
        dropoff_method
    from (
        select *, added_to_part(fee_rate_tax, fee_kept, kept, currency) as fee_tax_added
        from item_fees
    ) as blocked
),

-- One row per return, order and shipment on which a unit's credit is pending: the earliest shipment of each pair.
carriers as (
    select
        return_id, order_number, shipment_id, currency, pays_through, any_value(express_code) as express_code,
        min(trigger_at) as trigger_at, min(sendable_at) as sendable_at, any_value(tax_mode) as tax_mode,
        sum(kept)::decimal(18, 4) as kept, sum(amount)::decimal(18, 4) as most, sum(fee_rate_tax)::decimal(18, 4) as fee_rate_tax,
        any_value(dropoff_method) as dropoff_method,
        bool_and(blocked_by is not null) as is_blocked, min(blocked_by) as blocked_by,
        list_distinct(flatten(list(approval_codes))) as approval_codes
    from credits
    where refund_type = 'refund' and shipment_id is not null and pays_through <> 'gift_card' and origin_return_id is null
    group by return_id, order_number, shipment_id, currency, pays_through
    qualify row_number() over (partition by return_id, order_number order by is_blocked, shipment_id) = 1
),

-- One row per order: the shipping that Returns give back: those that are shown, and ours that no pull has shown yet.
shipping_given as (
    select order_number, sum(shipping) as shipping
    from (
        select order_number, shipping + handling as shipping from staging.centra_returns
        semi join carriers using (order_number)
        where deleted_at is null
        union all
        select packets.payload ->> 'order_number', (packets.payload ->> 'shipping')::decimal(18, 4)
        from push.packets
        semi join carriers on carriers.order_number = packets.payload ->> 'order_number'
        anti join staging.centra_returns as returns on returns.packet_key = packets.packet_key
        where packets.operation = 'credit' and packets.state = 'confirmed'
    )
    group by order_number
),

-- As Centra keeps it, before tax.
shipping_wanted as (
    select
        carriers.*, told.refund_id, told.told_at, orders.shipping_tax_added, orders.shipping + orders.handling as order_shipping,
        ledger.state in ('sending', 'unknown') as is_under_way,
        -- Its own Return, half done, has not used it up.
        own.shipping as shown,
        orders.shipping + orders.handling - coalesce(given.shipping, 0) + coalesce(own.shipping, 0) as shipping_left,
        greatest(case when parameters.shipping_source = 'policy' then orders.shipping + orders.handling
            else kept_of_told(
                coalesce(told.shipping, 0), orders.shipping_tax_added, orders.shipping + orders.handling, parameters.reported_costs,
                carriers.currency
            ) end, 0) as wanted
    from carriers
    left join (select effect_key, state from push.ledger where effect_kind = 'shipping_refund') as ledger
        on ledger.effect_key = effect_key('shipping_refund', [carriers.return_id, carriers.order_number])
    left join shipping_given as given using (order_number)
    left join (
        select effect_key, sum(shipping)::decimal(18, 4) as shipping
        from (
            select unnest(effect_keys) as effect_key, shipping + handling as shipping from staging.centra_returns
            semi join carriers using (order_number)
            where deleted_at is null
        )
        group by effect_key
    ) as own on own.effect_key = effect_key('shipping_refund', [carriers.return_id, carriers.order_number])
    cross join policy.parameters
    join staging.orders as orders using (order_number)
    left join costs_reported as told using (return_id, order_number)
    left join whole_orders using (order_number)
    -- Centra keeps the shipping cost on an order's first shipment.
    join (
        select order_number, min(shipment_id) as shipment_id
        from staging.shipments semi join matching.orders_in_play using (order_number)
        group by order_number
    ) as first_one
        on first_one.order_number = carriers.order_number and first_one.shipment_id = carriers.shipment_id
    where parameters.shipping_rule <> 'never'
        and (parameters.shipping_rule = 'as_told' or whole_orders.order_number is not null)
),

-- Of several returns of one order the one whose row came first has it; what is left, the next. What a Return that is shown gives is
-- not left for the others as it is.
shipping_kept as (
    select
        * exclude (told_at, is_under_way, shown, shipping_left, wanted),
        least(wanted, shipping_left - coalesce(sum(wanted) filter (where shown is null) over (
            partition by order_number order by coalesce(is_under_way, false) desc, told_at nulls last, return_id
            rows between unbounded preceding and 1 preceding
        ), 0))::decimal(18, 4) as shipping_kept
    from shipping_wanted
),

shipping as (
    select
        * exclude (shipping_tax_added, order_shipping, shipping_kept),
        added_to_part(shipping_tax_added, shipping_kept, order_shipping, currency) as tax_added,
        shipping_kept + tax_added as shipping_amount
    from shipping_kept
),

-- A per-return fee is charged once: where the refund row has it; by the policy on the lowest order number. Never more than is given.
-- What was taken off per item before the policy changed counts.
fees_kept as (
    select
        carriers.*, told.refund_id,
        least(carriers.kept, carriers.most, greatest(0, case
            when parameters.fee_source = 'happy_returns' and told.refund_id is not null then kept_of_told(
                coalesce(told.fee, 0), carriers.fee_rate_tax, carriers.kept, parameters.reported_costs, carriers.currency
            )
            when row_number() over (partition by carriers.return_id order by try_cast(order_number as bigint), order_number) = 1
                then rounded_money(
                    coalesce(policy.zone_fee(carriers.dropoff_method, carriers.currency, carriers.order_number), amounts.amount, 0),
                    carriers.currency
                )
            else 0
        end - case
            when charged.fee is null then 0
            when charged.currency is distinct from carriers.currency then carriers.most
            else charged.fee - added_within_part(carriers.fee_rate_tax, charged.fee, carriers.kept, carriers.currency)
        end))::decimal(18, 4) as fee_kept
    from carriers
    left join (
        select return_id, sum(fee)::decimal(18, 4) as fee, case when count(distinct currency) = 1 then min(currency) end as currency
        from fees_charged where effect_kind = 'credit_note' group by return_id
    ) as charged using (return_id)
    cross join policy.parameters
    left join costs_reported as told using (return_id, order_number)
    left join policy.fees as amounts
        on amounts.dropoff_method = carriers.dropoff_method and amounts.currency = carriers.currency
    where parameters.fee_basis = 'return'
        -- Its own fee stays desired while it is under way: found absent, it has to ride with the credit that is sent again.
        and not exists (
            select 1 from push.ledger
            where ledger.effect_kind = 'return_fee' and ledger.return_id = carriers.return_id
                and ledger.effect_key <> effect_key('return_fee', [carriers.return_id, carriers.order_number])
                and ledger.state in ('sending', 'unknown', 'confirmed')
        )
),

fees as (
    select
        * exclude (fee_kept), added_to_part(fee_rate_tax, fee_kept, kept, currency) as fee_tax_added, fee_kept + fee_tax_added as fee_amount
    from fees_kept
),

riders as (
    select
        effect_key('shipping_refund', [return_id, order_number]) as effect_key, 'shipping_refund' as effect_kind,
        shipping_amount as amount, shipping_amount as shipping, cast(0 as decimal(18, 4)) as fee,
        columns(* exclude (shipping_amount))
    from shipping where shipping_amount > 0
    union all by name
    select
        effect_key('return_fee', [return_id, order_number]) as effect_key, 'return_fee' as effect_kind,
        fee_amount as amount, cast(0 as decimal(18, 4)) as shipping, fee_amount as fee,
        columns(* exclude (fee_amount))
    from fees where fee_amount > 0
),

every as (
    select * exclude (refund_type, dropoff_method, credit_trigger, kept, fee_rate_tax),
        json_object('trigger', credit_trigger, 'refund_row', refund_id) as evidence
    from credits
    union all by name
    select
        effect_key, effect_kind, order_number as group_key, return_id, cast(null as varchar) as return_item_id, order_number,
        shipment_id, 1 as quantity, currency, amount, shipping, fee, tax_mode, tax_added, fee_tax_added, pays_through, express_code,
        refund_id, trigger_at,
        sendable_at, case when is_blocked then blocked_by end as blocked_by, case when is_blocked then approval_codes end as approval_codes,
        json_object('refund_row', refund_id) as evidence
    from riders
    where effect_key not in (select effect_key from done)
)

select
    every.*,
    modes."mode",
    coalesce(ledger.state, 'planned') as state,
    case when ledger.state in ('sending', 'unknown') then ledger.packet_key end as packet_key
from every
join policy.modes on modes.effect_type = 'credit_note'
left join push.ledger on ledger.effect_key = every.effect_key;
