-- makes: effects.pending_exchange_orders
-- kind:  table
-- grain: one row per replacement of a unit that is due and not in Centra,
--        and per release of one whose shipment is there
-- loop:  push.ledger: a replacement that is under way keeps the share of the voucher it was sent with

-- One row per replacement of a unit that is due and not in Centra; and per release of one whose shipment is there.
-- What a person wants ordered again, after somebody had canceled it in Centra, is a replacement with an ordinal of its own.
create or replace temp table due_exchanges as
with
-- A person has said that nobody sent the replacement by hand: it is ordered, and the Return that is there is its origin.
release_ties as (
    select distinct return_item_id, try_cast(centra_id as bigint) as centra_return_id
    from push.ties
    where what = 'release'
),

-- One row per replacement that a unit may need: the first, and each that a person has ordered again.
wanted_replacements as (
    select
        units.return_item_id,
        1 as ordinal,
        units.credit_due_at as due_at,
        release_ties.centra_return_id as origin_return_id
    from effects.units as units
    semi join matching.orders_in_play using (order_number)
    join matching.matched_items as matched using (return_item_id)
    left join release_ties
        on release_ties.return_item_id = units.return_item_id
            and release_ties.centra_return_id = matched.foreign_centra_return_id
    union all
    select canceled.return_item_id, decisions.ordinal + 1, decisions.decided_at, canceled.centra_return_id
    from push.exchange_decisions as decisions
    join effects.replacements as canceled using (return_item_id, ordinal)
    semi join matching.orders_in_play using (order_number)
    where decisions.decision = 'order_again'
),

keyed_exchanges as (
    select *, effect_key('exchange_order', exchange_ids(return_item_id, ordinal)) as effect_key from wanted_replacements
)

select
    exchanges.effect_key,
    units.*,
    exchanges.ordinal,
    exchanges.due_at,
    exchanges.origin_return_id,
    items.express_code,
    items.exchange_sku,
    matched.shipment_id,
    matched.shipment_line_id,
    matched.currency,
    matched.unit_price,
    coalesce(matched.unit_tax_added, 0) as unit_tax_added,
    (matched.voucher_share - matched.voucher_tax_added)::decimal(18, 4) as voucher_share, -- as Centra keeps it
    coalesce(value.chain_depth, 0) = 0 and matched.unit_price > matched.voucher_share as is_charged,
    case
        when units.is_after_cutover is null then policy.reason('start_unknown')
        when not units.is_after_cutover then policy.reason('before_cutover')
        when matched.shipment_line_id is null then policy.reason('no_shipment_line', unmatched_text(matched.reason))
        when matched.doubt is not null then doubt_reason(matched.doubt, matched.doubtful_return_id, matched.sku)
        when matched.bundle is not null and not parameters.return_names_parts
            then policy.reason(
                    'part_of_bundle_exchanged', coalesce(bundles.sku, bundles.product_name, matched.bundle_line_id)
                )
        when value.given - value.exchange > 0
            then policy.reason(
                    'given_in_money', rest_text(value.given - value.exchange, value.paid, matched.currency)
                )
        when matched.foreign_centra_return_id is not null and exchanges.origin_return_id is null
            then
                case external.made_by
                    when 'person' then policy.reason('made_by_person')
                    when 'integration' then policy.reason('made_by_integration')
                    else policy.reason('made_by_unknown')
                end
        when pending_cards.return_item_id is not null or unplaced.is_pending
            then policy.reason('gift_card_pending')
        when items.exchange_sku is null then policy.reason('no_replacement_named')
        when blocks.has_unknown_payment
            then policy.reason('payment_unknown')
        -- What was itself sent in exchange, or cost nothing, has captured nothing.
        when is_charged and blocks.nothing_captured then policy.reason('nothing_captured')
        when is_charged and (blocks.waits_for_capture or uncaptured.is_requested)
            then policy.reason('capture_not_confirmed')
        when is_charged and uncaptured.shipment_id is not null then policy.reason('shipment_not_captured')
        when blocks.has_untied_refund then policy.reason('untied_refund')
        when stock.sku is null then null -- not looked up yet: the sender looks before it makes anything
        when stock.product_size_id is null then policy.reason('article_unknown', items.exchange_sku)
        when stock.free_quantity < 1 then policy.reason('replacement_out_of_stock', items.exchange_sku)
        -- What a person may let through comes last: an approval of it is about nothing else.
        when blocks.chargeback_abroad is not null then policy.reason('chargeback_abroad', blocks.chargeback_abroad)
        when unplaced.refund_id is not null then policy.reason('gift_card_unplaced', unplaced.refund_id)
        when blocks.booking_code is not null then policy.reason('booking_unknown')
    end as block,
    list_filter(
        [blocks.chargeback_code, 'unplaced_gift_card ' || unplaced.refund_id, blocks.booking_code],
        lambda code: code is not null
    ) as approval_codes
from keyed_exchanges as exchanges
join effects.units as units using (return_item_id)
cross join policy.parameters
join staging.return_items as items using (return_item_id)
join matching.matched_items as matched using (return_item_id)
left join staging.bundles as bundles on bundles.bundle_line_id = matched.bundle_line_id
left join effects.value_given_back as value using (return_item_id)
left join order_blocks as blocks on blocks.order_number = units.order_number
left join uncaptured_shipments as uncaptured on uncaptured.shipment_id = matched.shipment_id
left join (
    select distinct return_item_id from staging.refund_units
    semi join (
        -- The card of an exchange's row is its difference.
        from staging.refunds where status = 'pending' and gift_card_id is not null and refund_type <> 'exchange'
    ) using (refund_id)
) as pending_cards on pending_cards.return_item_id = units.return_item_id
left join
    unplaced_gift_cards as unplaced
    on unplaced.return_id = units.return_id and unplaced.order_number = units.order_number
left join staging.centra_returns as external on external.centra_return_id = matched.foreign_centra_return_id
left join staging.replacement_stock as stock on stock.sku = items.exchange_sku
where
    items.refund_type = 'exchange'
    and units.credit_due_at is not null
    and not units.is_refused
    and (units.is_after_cutover is distinct from false or units.credit_due_at >= parameters.cutover)
    -- Somebody gave the money instead: the shopper waits for no goods any more.
    and not coalesce(value.is_paid_instead, false)
    and exchanges.effect_key not in (select effect_key from keys_in_centra);

-- One row per replacement that brings its own Return, with the part of the order's voucher that the Return carries: so that
-- its total is what the unit cost. Credits come first (`credit_notes.sql`). Centra keeps a voucher on one shipment: where an
-- order has several, the Return of an exchange carries none.
create or replace temp table exchange_vouchers as
with
one_shipment as (
    select order_number from staging.shipments semi join due_exchanges using (order_number)
    group by order_number having count(*) = 1
),

credits as (
    select order_number, sum(voucher) as voucher, count(*) as pieces
    from effects.pending_credit_notes
    where effect_kind = 'credit_note' and state not in ('sending', 'unknown') and origin_return_id is null
    group by order_number
),

ranked_exchanges as (
    select
        due.*,
        left_over.voucher_left - coalesce(credits.voucher, 0) as voucher_left,
        left_over.pieces_left - coalesce(credits.pieces, 0) as pieces_left,
        row_number() over open_units as place,
        count(*) over (partition by due.order_number, due.has_its_share) as open_units,
        sum(due.voucher_share) over (open_units rows between unbounded preceding and 1 preceding) as shares_before
    from (
        select due.*, coalesce(ledger.state in ('sending', 'unknown'), false) as has_its_share
        from due_exchanges as due
        semi join one_shipment using (order_number)
        left join push.ledger on ledger.effect_key = due.effect_key
        where due.ordinal = 1 and due.origin_return_id is null and due.shipment_line_id is not null
    ) as due
    left join vouchers_left as left_over using (order_number)
    left join credits using (order_number)
    window open_units as (partition by due.order_number, due.has_its_share order by due.credit_due_at, due.effect_key)
)

select
    effect_key,
    case
        when voucher_left is null or has_its_share then coalesce(voucher_share, 0)
        else voucher_part(
                unit_price - unit_tax_added,
                voucher_share,
                voucher_left,
                shares_before,
                place = open_units and open_units >= pieces_left
            )
    end::decimal(18, 4) as voucher
from ranked_exchanges;

delete from effects.pending_exchange_orders;
insert into effects.pending_exchange_orders by name
select
    due.effect_key,
    'exchange_order' as effect_kind,
    due.order_number as group_key,
    due.return_id,
    due.return_item_id,
    due.order_number,
    due.shipment_id,
    due.shipment_line_id,
    exchange_sku as sku,
    1 as quantity,
    due.currency,
    unit_price - less - added_to_part(unit_tax_added, less, unit_price - unit_tax_added, due.currency) as amount,
    nullif(due.voucher, 0) as voucher,
    express_code,
    origin_return_id,
    due_at as trigger_at,
    due_at as sendable_at,
    modes."mode",
    policy.in_words(reasons.sentence, due.block.figures) as blocked_by,
    due.block.code as blocked_code,
    approval_codes,
    coalesce(ledger.state, 'planned') as state,
    case when ledger.state in ('sending', 'unknown') then ledger.packet_key end as packet_key,
    json_object('trigger', credit_trigger, 'ordinal', ordinal) as evidence
from (
    select due.*, vouchers.voucher, coalesce(vouchers.voucher, due.voucher_share, 0) as less
    from due_exchanges as due
    left join exchange_vouchers as vouchers using (effect_key)
) as due
join policy.modes on modes.effect_type = 'exchange_order'
left join policy.reasons on reasons.code = due.block.code
left join push.ledger on ledger.effect_key = due.effect_key;

-- Releases: the mark of the policy on the shipment that holds the replacement, unless it has it already. A shipment that has left
-- needs none. A replacement that differs from what was meant is not confirmed, and so not here; an order that somebody made by
-- hand, and a person has tied, is theirs to release; so is one whose status the policy does not know.
insert into effects.pending_exchange_orders by name
with
held_replacements as (
    select
        effect_key('exchange_release', list_append(
            exchange_ids(replacements.return_item_id, replacements.ordinal), parameters.exchange_release
        )) as effect_key,
        replacements.* exclude (effect_key), replacements.effect_key as exchange_key, parameters.exchange_release
    from effects.replacements as replacements
    semi join matching.orders_in_play using (order_number)
    semi join
        (select effect_key from push.ledger where not is_foreign) as ours
        on ours.effect_key = replacements.effect_key
    -- One mark sends off all that a shipment holds.
    anti join (
        select others.shipment_id from effects.replacements as others
        join effects.units as refused using (return_item_id)
        where refused.is_refused and others.shipment_id is not null
    ) as with_refused on with_refused.shipment_id = replacements.shipment_id
    semi join (select order_number from staging.orders where not is_cancelled) as live_orders
        on live_orders.order_number = replacements.replacement_order_number
    cross join policy.parameters
    where replacements.state = 'ordered' and replacements.shipment_id is not null and replacements.ordinal is not null
        and case parameters.exchange_release
            when 'paid' then replacements.is_paid is distinct from true
            when 'good_to_go' then replacements.is_good_to_go is distinct from true
            else false
        end
)

select
    held_replacements.effect_key,
    'exchange_release' as effect_kind,
    held_replacements.order_number as group_key,
    held_replacements.return_id,
    held_replacements.return_item_id,
    held_replacements.order_number,
    held_replacements.shipment_id,
    1 as quantity,
    held_replacements.exchange_release as "text",
    held_replacements.ordered_at as trigger_at,
    held_replacements.ordered_at as sendable_at,
    modes."mode",
    coalesce(ledger.state, 'planned') as state,
    case when ledger.state in ('sending', 'unknown') then ledger.packet_key end as packet_key,
    json_object('replacement', held_replacements.replacement_order_number, 'exchange', held_replacements.exchange_key)
        as evidence
from held_replacements
join effects.units as units using (return_item_id)
join policy.modes on modes.effect_type = 'exchange_order'
left join effects.value_given_back as value using (return_item_id)
left join push.ledger on ledger.effect_key = held_replacements.effect_key
where not units.is_refused and not coalesce(value.is_paid_instead, false)
    and held_replacements.effect_key not in (select effect_key from keys_in_centra);
