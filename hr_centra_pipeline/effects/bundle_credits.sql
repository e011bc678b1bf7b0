-- changes: effects.pending_credit_notes
-- kind:  table
-- grain: one row per credit of a part of a bundle: whether it goes with the whole, alone, or waits
-- loop:  push.ledger: a part that was given something for by an earlier push does not wait for the others

-- Credits of parts of bundles. A bundle is sold as one line and credited as one: once all of its parts are to be credited,
-- together and by one way. Until then the policy says whether a part waits, or is credited alone with its share of the price.

-- One row per bundle that units of the active orders are parts of, and shipment line of a part: how many pieces of it are in
-- one bundle, and what has become of them.
create or replace temp table bundle_parts as
with
units as (
    select
        matched.bundle, matched.bundle_line_id, matched.shipment_id, matched.shipment_line_id, matched.return_item_id,
        pending.state in ('planned', 'sending', 'unknown') as is_due,
        pending.pays_through,
        -- What keeps this part back, keeps back its bundle.
        case when pending.state in ('planned', 'sending', 'unknown') then {
                    'place': reasons.place, 'said': pending.blocked_by, 'code': pending.blocked_code
                }
        end as block,
        case when pending.state in ('planned', 'sending', 'unknown') then pending.approval_codes end as approval_codes,
        matched.foreign_centra_return_id is not null or coalesce(given_units.is_given, false) as is_given,
        items.refund_type = 'exchange' as is_exchange,
        effects_units.is_refused
    from matching.matched_items as matched
    semi join matching.orders_in_play using (order_number)
    join staging.return_items as items on items.return_item_id = matched.return_item_id
    join effects.units as effects_units on effects_units.return_item_id = matched.return_item_id
    left join effects.pending_credit_notes as pending
        on pending.return_item_id = matched.return_item_id and pending.effect_kind = 'credit_note'
    left join policy.reasons on reasons.code = pending.blocked_code
    left join (
        select return_item_id, true as is_given from push.ledger
        where gives_value(effect_kind) and state in ('sending', 'unknown', 'confirmed')
        group by return_item_id
    ) as given_units on given_units.return_item_id = matched.return_item_id
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
    min(units.block) filter (where units.block.code is not null) as block, -- the first in the order of precedence
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
    min(parts.block) as block,
    list_distinct(flatten(list(parts.approval_codes))) as approval_codes,
    string_agg(
        case
            when parts.per_bundle - parts.due - parts.given > 1 then (parts.per_bundle - parts.due - parts.given) || ' of '
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

bundle_decisions as (
    select
        credits.effect_key, credits.bundle, states.* exclude (bundle),
        case
            when states.is_whole and states.bundle_shipment_line_id is not null then 'whole'
            when parameters.return_names_parts and states.has_own_prices
                and (parameters.bundle_some_parts = 'share' or states.given + states.due = states.pieces) then 'alone'
            else 'waits'
        end as way,
        coalesce(states.name, credits.bundle_line_id) as part_of,
        coalesce(reasons.needs_approval, false) as is_approvable,
        coalesce(
            '; its share of the bundle''s ' || money_text(states.unit_price, credits.currency)
            || ' is ' || money_text(credits.amount, credits.currency), ''
        ) as share_told
    from credits
    left join bundle_states as states using (bundle)
    left join policy.reasons on reasons.code = states.block.code
    cross join policy.parameters
),

bundle_verdicts as (
    select
        *,
        case
            when way = 'alone' then null
            when way = 'whole' and is_paid_in_several_ways
                then policy.reason('bundle_paid_in_several_ways', part_of, share_told)
            when way = 'whole' and is_approvable then policy.reason(block.code)
            when way = 'whole' and block.code is not null
                then policy.reason('bundle_part_held', part_of, block.said, share_told)
            when way = 'whole' then null
            when missing is not null and given = 0 then policy.reason('bundle_incomplete', part_of, missing, share_told)
            when given > 0 then policy.reason('bundle_part_given', part_of, share_told)
            else policy.reason('bundle_in_several_shipments', part_of, share_told)
        end as own_block
    from bundle_decisions
)

select
    effect_key, way, bundle, bundle_shipment_line_id, pieces, approval_codes, own_block.code as blocked_code,
    case
        -- What a person may let through is said of the part itself.
        when is_approvable and own_block.code = block.code
            then block.said || '; it is a part of the bundle ' || part_of || share_told
        else policy.in_words(reasons.sentence, own_block.figures)
    end as blocked_by
from bundle_verdicts
left join policy.reasons on reasons.code = own_block.code;

update effects.pending_credit_notes as pending set
    bundle = case when credits.way = 'whole' then credits.bundle end,
    bundle_shipment_line_id = case when credits.way = 'whole' then credits.bundle_shipment_line_id end,
    bundle_units = case when credits.way = 'whole' then credits.pieces end,
    blocked_by = case when credits.takes_its_place then credits.blocked_by else pending.blocked_by end,
    blocked_code = case when credits.takes_its_place then credits.blocked_code else pending.blocked_code end,
    approval_codes = case when credits.way = 'whole' then credits.approval_codes else pending.approval_codes end
from (
    select
        bundle_credits.*,
        -- What a person may let through comes last.
        bundle_credits.blocked_code is not null
        and (own.blocked_code is null or coalesce(reasons.needs_approval, false)) as takes_its_place
    from bundle_credits
    join effects.pending_credit_notes as own using (effect_key)
    left join policy.reasons on reasons.code = own.blocked_code
) as credits
where credits.effect_key = pending.effect_key;

-- What belongs to a whole return waits with its units.
update effects.pending_credit_notes as return_level
set
    blocked_by = return_verdicts.blocked_by,
    blocked_code = return_verdicts.blocked_code,
    approval_codes = return_verdicts.approval_codes
from (
    select
        credits.return_id, credits.order_number,
        arg_min(credits.blocked_by, (reasons.place, credits.blocked_by)) as blocked_by,
        arg_min(credits.blocked_code, (reasons.place, credits.blocked_by)) as blocked_code,
        list_distinct(flatten(list(credits.approval_codes))) as approval_codes
    from effects.pending_credit_notes as credits
    left join policy.reasons on reasons.code = credits.blocked_code
    where credits.effect_kind = 'credit_note'
    group by credits.return_id, credits.order_number
    having bool_and(credits.blocked_code is not null)
        and bool_or(credits.effect_key in (select effect_key from bundle_credits where blocked_code is not null))
) as return_verdicts
where is_of_the_return(return_level.effect_kind)
    and return_level.blocked_code is null
    and return_level.state = 'planned'
    and return_level.return_id = return_verdicts.return_id and return_level.order_number = return_verdicts.order_number;
