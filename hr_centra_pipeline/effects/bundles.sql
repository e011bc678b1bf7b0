-- changes: effects.pending_credit_notes
-- kind:  table
-- grain: one row per credit of a part of a bundle: whether it goes with the whole, alone, or waits
-- loop:  push.ledger: what was sent is not due again; the push that follows commits its own later

-- Credits of parts of bundles. A bundle is sold as one line and credited as one: once all of its parts are to be credited,
-- together and by one way. Until then the policy says whether a part waits, or is credited alone with its share of the price.

-- One row per bundle that units of the orders in play are parts of, and shipment line of a part: how many pieces of it are in
-- one bundle, and what has become of them.
create or replace temp table bundle_parts as
with
units as (
    select
        matched.bundle, matched.bundle_line_id, matched.shipment_id, matched.shipment_line_id, matched.return_item_id,
        pending.state in ('planned', 'sending', 'unknown') as is_due,
        pending.pays_through,
        -- What keeps this part back, keeps back its bundle.
        case when pending.state in ('planned', 'sending', 'unknown') then pending.blocked_by end as blocked_by,
        case when pending.state in ('planned', 'sending', 'unknown') then pending.approval_codes end as approval_codes,
        matched.foreign_centra_return_id is not null or coalesce(given.is_given, false) as is_given,
        items.refund_type = 'exchange' as is_exchange,
        effects_units.is_refused
    from matching.matched_items as matched
    semi join matching.orders_in_play using (order_number)
    join staging.return_items as items on items.return_item_id = matched.return_item_id
    join effects.units as effects_units on effects_units.return_item_id = matched.return_item_id
    left join effects.pending_credit_notes as pending
        on pending.return_item_id = matched.return_item_id and pending.effect_kind = 'credit_note'
    left join (
        select return_item_id, true as is_given from push.ledger
        where effect_kind in ('credit_note', 'exchange_order') and state in ('sending', 'unknown', 'confirmed')
        group by return_item_id
    ) as given on given.return_item_id = matched.return_item_id
    where matched.bundle is not null
),

bundles as (
    select distinct bundle, bundle_line_id, shipment_id from units
)

select
    bundles.bundle, bundles.bundle_line_id, lines.bundle_shipment_line_id, lines.shipment_line_id, lines.per_bundle,
    coalesce(sold.sku, lines.order_line_id) as sku,
    count(*) filter (where units.is_due) as due,
    count(*) filter (where units.is_given and not coalesce(units.is_due, false)) as given,
    count(*) filter (where units.is_exchange) as exchanged,
    count(*) filter (where units.is_refused) as refused,
    count(units.return_item_id) as back,
    count(distinct units.pays_through) filter (where units.is_due) as ways,
    min(units.pays_through) filter (where units.is_due) as pays_through,
    min(units.blocked_by) as blocked_by,
    flatten(list(units.approval_codes)) as approval_codes
from bundles
join
    staging.shipment_lines as lines
    on lines.bundle_line_id = bundles.bundle_line_id and lines.shipment_id = bundles.shipment_id
left join staging.order_lines as sold on sold.order_line_id = lines.order_line_id
left join units on units.bundle = bundles.bundle and units.shipment_line_id = lines.shipment_line_id
group by all;

-- One row per bundle: is all of it to be credited now, and if not, what it waits for.
create or replace temp table bundle_states as
select
    parts.bundle,
    any_value(bundles.parts) as pieces,
    any_value(parts.bundle_shipment_line_id) as bundle_shipment_line_id,
    any_value(coalesce(bundles.sku, bundles.product_name, bundles.bundle_line_id)) as name,
    any_value(bundles.unit_price) as unit_price,
    any_value(bundles.has_own_prices) as has_own_prices,
    sum(parts.due)::bigint as due,
    sum(parts.given)::bigint as given,
    sum(parts.due) = any_value(bundles.parts) as is_whole,
    max(parts.ways) > 1 or count(distinct parts.pays_through) > 1 as is_paid_in_several_ways,
    min(parts.blocked_by) as blocked_by,
    list_distinct(flatten(list(parts.approval_codes))) as approval_codes,
    string_agg(
        case
            when
                parts.per_bundle - parts.due - parts.given > 1
                then (parts.per_bundle - parts.due - parts.given) || ' of '
            else ''
        end
        || parts.sku || case
            when parts.exchanged > 0 then ' (exchanged)'
            when parts.refused > 0 then ' (refused)'
            when parts.back > parts.due + parts.given then ' (not due yet)'
            else ' (not back)'
        end, ', ' order by parts.shipment_line_id
    ) filter (where parts.due + parts.given < parts.per_bundle) as missing
from bundle_parts as parts
join staging.bundles as bundles using (bundle_line_id)
group by parts.bundle;

-- One row per credit of a part that is planned, or half done: whether it goes with its bundle, alone, or waits.
create or replace temp table bundle_credits as
with
credits as (
    select pending.effect_key, pending.amount, pending.currency, matched.bundle, matched.bundle_line_id
    from effects.pending_credit_notes as pending
    join matching.matched_items as matched using (return_item_id)
    where pending.effect_kind = 'credit_note'
        and pending.state in ('planned', 'sending', 'unknown')
        and pending.origin_return_id is null
        and matched.bundle is not null
),

decided as (
    select
        credits.effect_key, credits.bundle, states.* exclude (bundle),
        case
            when states.is_whole and states.bundle_shipment_line_id is not null then 'whole'
            when parameters.return_names_parts and states.has_own_prices
                and (parameters.bundle_some_parts = 'share' or states.given + states.due = states.pieces) then 'alone'
            else 'waits'
        end as way,
        'it is a part of the bundle ' || coalesce(states.name, credits.bundle_line_id) as is_part,
        coalesce(
            '; its share of the bundle''s ' || money_text(states.unit_price, credits.currency)
            || ' is ' || money_text(credits.amount, credits.currency), ''
        ) as share_told
    from credits
    left join bundle_states as states using (bundle)
    cross join policy.parameters
)

select
    effect_key, way, bundle, bundle_shipment_line_id, pieces, approval_codes,
    case
        when way = 'alone' then null
        when way = 'whole' and is_paid_in_several_ways
            then
                is_part || ', whose parts are paid in several ways: credit the bundle by hand' || share_told
        when
            way = 'whole' and starts_with(blocked_by, 'waits for approval')
            then blocked_by || '; ' || is_part || share_told
        when
            way = 'whole' and blocked_by is not null
            then is_part || ', of which another part waits: ' || blocked_by || share_told
        when way = 'whole' then null
        when missing is not null and given = 0 then is_part || ': waits for ' || missing || share_told
        when
            given > 0
            then is_part || ', another part of which was given back alone: credit the rest by hand' || share_told
        else is_part || ', whose parts left in several shipments: credit it by hand' || share_told
    end as blocked_by
from decided;

update effects.pending_credit_notes as pending set
    bundle = case when credits.way = 'whole' then credits.bundle end,
    bundle_shipment_line_id = case when credits.way = 'whole' then credits.bundle_shipment_line_id end,
    bundle_units = case when credits.way = 'whole' then credits.pieces end,
    -- What a person may let through comes last.
    blocked_by
    = case when
            starts_with(pending.blocked_by, 'waits for approval')
            then coalesce(credits.blocked_by, pending.blocked_by)
        else coalesce(pending.blocked_by, credits.blocked_by)
    end,
    approval_codes = case when credits.way = 'whole' then credits.approval_codes else pending.approval_codes end
from bundle_credits as credits
where credits.effect_key = pending.effect_key;

-- What belongs to a whole return waits with its units.
update effects.pending_credit_notes as riders set blocked_by = held.blocked_by, approval_codes = held.approval_codes
from (
    select
        return_id, order_number, min(blocked_by) as blocked_by,
        list_distinct(flatten(list(approval_codes))) as approval_codes
    from effects.pending_credit_notes
    where effect_kind = 'credit_note'
    group by return_id, order_number
    having bool_and(blocked_by is not null)
        and bool_or(effect_key in (select effect_key from bundle_credits where blocked_by is not null))
) as held
where riders.effect_kind in ('shipping_refund', 'return_fee') and riders.blocked_by is null and riders.state = 'planned'
    and riders.return_id = held.return_id and riders.order_number = held.order_number;
