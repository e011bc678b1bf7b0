-- makes: matching.matched_items
-- kind:  table
-- grain: one row per return unit, with the shipment line that it is, or why it has none

-- Every unit has found its place among the shipped pieces of its order: each piece is taken once.

-- One row per unit that has a place.
create or replace temp table all_places as
select
    known_places.return_item_id, known_places.shipment_line_id, 'frozen' as matched_by,
    -- Half done by us, and given back by hand as a person says: what is left of ours is not due any more.
    case when open_credits.return_item_id is not null then ties.centra_return_id end as foreign_centra_return_id,
    false as is_price_unclear
from known_places
left join open_credits using (return_item_id)
left join (
    select return_item_id, max(centra_return_id) as centra_return_id from return_ties
    semi join foreign_lines using (centra_return_id)
    group by return_item_id
) as ties on ties.return_item_id = known_places.return_item_id
union all by name
select
    adoptions.return_item_id, adoptions.shipment_line_id, ways.matched_by, centra_return_id as foreign_centra_return_id
from (
    select return_item_id, shipment_line_id, centra_return_id from adoptions
    union all
    select return_item_id, shipment_line_id, centra_return_id from late_adoptions
) as adoptions
join
    (select return_item_id, any_value(matched_by) as matched_by from candidates group by all) as ways
    using (return_item_id)
union all by name
from places_here;

-- One row per unit whose effect was sent for another article, or for one of another price, than Happy Returns names now.
create or replace temp table corrected_units as
select known_places.return_item_id
from known_places
join staging.shipment_lines using (shipment_line_id)
join staging.order_lines as lines using (order_line_id)
where not exists (
        select 1 from candidates
        join staging.order_lines as named on named.order_line_id = candidates.order_line_id
        where candidates.return_item_id = known_places.return_item_id and (
                named.order_line_id = lines.order_line_id
                or (
                    named.order_number = lines.order_number
                    and named.sku = lines.sku
                    and named.unit_price = lines.unit_price
                )
            )
    );

delete from matching.matched_items where return_item_id in (select return_item_id from items_in_play);
insert into matching.matched_items by name
with
-- Units that only files report, and units of the same article and return that only events or the API do: they may be the same under two
-- ids. Neither gets anything before a feed reports both.
contested_units as (
    select distinct items.return_item_id
    from items_in_play as items
    join staging.return_items as others
        on others.return_id = items.return_id and others.order_number = items.order_number
            and others.return_item_id <> items.return_item_id
            and (
                others.sku = items.sku or others.upc = items.upc or others.base_line_item_id = items.base_line_item_id
            )
    where case
            when items.feeds = 'files' then not contains(others.feeds, 'files')
            else not contains(items.feeds, 'files') and others.feeds = 'files'
        end
),

-- One row per matched unit, with which piece of its order line it is.
matched_units as (
    select
        all_places.return_item_id,
        all_places.shipment_line_id,
        all_places.matched_by,
        all_places.foreign_centra_return_id,
        all_places.is_price_unclear,
        shipment_lines.shipment_id, shipment_lines.order_line_id, shipment_lines.currency, shipment_lines.unit_price,
        shipment_lines.unit_tax, shipment_lines.unit_tax_added,
        coalesce(items.unit_offset, row_number() over (
            partition by shipment_lines.order_line_id order by items.return_item_id
        ) - 1) as piece,
        shipment_lines.bundle_line_id,
        shipment_lines.per_bundle,
        shipment_lines.bundle_share,
        shipment_lines.bundle_tax,
        shipment_lines.bundle_tax_added,
        -- Which of the line's pieces it is: what was given back already first, then what is on its way to be.
        row_number() over (
            partition by all_places.shipment_line_id
            order by
                all_places.matched_by <> 'frozen' and all_places.foreign_centra_return_id is null,
                items.approved_at is null,
                items.return_created_at nulls last, items.return_item_id
        ) - 1 as place_in_line
    from all_places
    join staging.shipment_lines using (shipment_line_id)
    join items_in_play as items on items.return_item_id = all_places.return_item_id
),

-- One row per matched unit with what it cost. Pieces of one article in one bundle share what all of them are of its price.
priced_units as (
    select
        * replace (
            case
                when per_bundle > 1 then part_of(bundle_share, in_bundle, in_bundle + 1, per_bundle, currency) else
                    unit_price
            end
                as unit_price,
            case
                when per_bundle > 1 then part_of(bundle_tax, in_bundle, in_bundle + 1, per_bundle, currency) else
                    unit_tax
            end as unit_tax,
            case when per_bundle > 1 then part_of(bundle_tax_added, in_bundle, in_bundle + 1, per_bundle, currency)
                else unit_tax_added
            end as unit_tax_added
        ),
        bundle_line_id || '/' || shipment_id || '/' || (place_in_line // per_bundle + 1) as bundle
    from (select *, place_in_line % per_bundle as in_bundle from matched_units)
),

-- One row per matched unit with its share of the voucher, as Centra keeps it, and the tax that is added to that.
units_with_voucher as (
    select
        matched.*,
        coalesce(
            case when matched.piece < shares.pieces_with_more then shares.larger_share else shares.voucher_share end, 0
        )::decimal(18, 4) as voucher_kept,
        added_to_part(unit_tax_added, voucher_kept, unit_price - unit_tax_added, currency) as voucher_tax_added
    from priced_units as matched
    left join voucher_shares as shares
        on shares.order_line_id = matched.order_line_id and matched.piece between 0 and shares.quantity - 1
),

absent_orders as (
    select distinct order_number from landing.centra_absent_orders
    anti join staging.orders using (order_number)
),

-- Units that name a bundle, or are on an order with one whose parts are not known.
units_of_bundles as (
    select distinct items.return_item_id
    from items_in_play as items
    join staging.bundles as bundles on bundles.order_number = items.order_number
    where not bundles.is_known or bundles.bundle_line_id = items.base_line_item_id or bundles.sku = items.sku
),

-- One row per unit: what its order lines are like, for those that have no place.
line_facts as (
    select
        candidates.return_item_id,
        bool_or(lines.is_product) as has_product_line,
        bool_or(shipped_lines.order_line_id is not null) as was_shipped,
        min(lines.sku) as sku,
        max(lines.unit_price) filter (where shipped_lines.order_line_id is not null) as unit_price
    from candidates
    join staging.order_lines as lines using (order_line_id)
    left join (select distinct order_line_id from shipped_lines) as shipped_lines using (order_line_id)
    group by candidates.return_item_id
)

select
    items.return_item_id,
    items.return_id,
    items.order_number,
    matched.order_line_id,
    matched.shipment_id,
    matched.shipment_line_id,
    matched.matched_by,
    case
        when matched.shipment_line_id is not null then null
        when absent_orders.order_number is not null then 'no_such_order'
        when orders.order_number is null then 'order_not_read_yet'
        when line_facts.return_item_id is null and items.base_line_item_id is null and items.sku is null
            and items.upc is null and items.label_barcode is null then 'no_key'
        when line_facts.return_item_id is null and units_of_bundles.return_item_id is not null then 'bundle_line'
        when line_facts.return_item_id is null then 'article_not_on_order'
        when not line_facts.has_product_line then 'bundle_line'
        when ambiguous_units.return_item_id is not null then 'ambiguous_article'
        when not line_facts.was_shipped then 'nothing_shipped'
        when claims.strength = 0 then case when claims.never_came then 'goods_never_came' else 'refused' end
        else 'more_units_than_shipped'
    end as reason,
    coalesce(lines.sku, items.sku) as sku,
    coalesce(matched.currency, orders.currency) as currency,
    -- Of a surplus unit: what its line cost.
    coalesce(matched.unit_price, case when ambiguous_units.return_item_id is null then line_facts.unit_price end)
        as unit_price,
    matched.unit_tax,
    matched.unit_tax_added,
    orders.tax_mode,
    (matched.voucher_kept + matched.voucher_tax_added)::decimal(18, 4) as voucher_share,
    voucher_tax_of(
        orders.tax_mode, matched.voucher_kept, matched.voucher_tax_added, lines.tax_percent, matched.currency
    ) as voucher_tax,
    matched.voucher_tax_added,
    matched.foreign_centra_return_id,
    case
        when doubtful_units.centra_return_id is not null then 'foreign_return'
        when contested_units.return_item_id is not null then 'feeds_disagree'
        when matched.is_price_unclear then 'several_prices'
    end as doubt,
    doubtful_units.centra_return_id as doubtful_return_id,
    coalesce(claims.strength > 0, false) as has_claim,
    corrected_units.return_item_id is not null as is_corrected,
    case when corrected_units.return_item_id is null then coalesce(lines.sku, line_facts.sku) else line_facts.sku end
        as present_sku,
    matched.bundle,
    matched.bundle_line_id
from items_in_play as items
join claims on claims.return_item_id = items.return_item_id
left join doubtful_units on doubtful_units.return_item_id = items.return_item_id
left join corrected_units on corrected_units.return_item_id = items.return_item_id
left join contested_units on contested_units.return_item_id = items.return_item_id
left join units_with_voucher as matched on matched.return_item_id = items.return_item_id
left join staging.orders as orders on orders.order_number = items.order_number
left join absent_orders on absent_orders.order_number = items.order_number
left join line_facts on line_facts.return_item_id = items.return_item_id
left join units_of_bundles on units_of_bundles.return_item_id = items.return_item_id
left join ambiguous_units on ambiguous_units.return_item_id = items.return_item_id
left join staging.order_lines as lines on lines.order_line_id = matched.order_line_id;
