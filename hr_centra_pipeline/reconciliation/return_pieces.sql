-- makes: return_pieces
-- kind:  step
-- grain: one row per piece on a Return, with its value and tax, and the unit that it is

-- One row per piece on a Return that is there, with its value and tax, and the unit that it is (null: a unit of nobody). A line may
-- have millions: beyond its units and a thousand more, the rest is one row. `pieces`: how many a row is.
create or replace temp table return_pieces as
with
units as (
    select centra_return_id, shipment_line_id, return_item_id, false as is_foreign
    from carried_effects where return_item_id is not null and not is_deleted
    union
    select foreign_centra_return_id, shipment_line_id, return_item_id, true as is_foreign
    from known_units where foreign_centra_return_id is not null
),

lines as (
    select
        lines.*, returns.currency,
        sum(lines.quantity) over (
            partition by lines.centra_return_id, lines.shipment_line_id order by lines.centra_return_line_id
        )::bigint - lines.quantity as pieces_before,
        least(lines.quantity, coalesce(claims.units, 0) + 1000) as told_apart
    from staging.centra_return_lines as lines
    join staging.centra_returns as returns using (centra_return_id)
    semi join money_orders on money_orders.order_number = returns.order_number
    left join (
        select centra_return_id, shipment_line_id, count(*) as units from units group by all
    ) as claims using (centra_return_id, shipment_line_id)
    where returns.deleted_at is null
),

numbered_pieces as (
    select
        lines.*, numbers.piece as place_on_line,
        case when numbers.piece = told_apart then quantity - told_apart + 1 else 1 end as alike
    from lines
    cross join range(1, lines.told_apart + 1) as numbers (piece)
),

pieces as (
    select
        centra_return_id, shipment_line_id, order_line_id, order_number, currency, alike,
        case when quantity = 1 then line_value
            else part_of(line_value, place_on_line - 1, place_on_line - 1 + alike, quantity, currency)
        end as value,
        case when quantity = 1 then line_tax
            else part_of(line_tax, place_on_line - 1, place_on_line - 1 + alike, quantity, currency)
        end as line_tax,
        pieces_before + place_on_line as piece
    from numbered_pieces
),

units_on_lines as (
    select *, row_number() over (partition by centra_return_id, shipment_line_id order by return_item_id) as piece
    from units
),

known_pieces as (
    select
        pieces.*, units_on_lines.return_item_id, coalesce(units_on_lines.is_foreign, false) as is_foreign,
        items.return_id, (items.refund_type is not distinct from 'exchange') as is_exchange,
        -- as Centra keeps it: only there the shares sum to what a Return takes off
        matched.voucher_share - matched.voucher_tax_added as voucher_share, lines.tax_percent, orders.tax_mode
    from pieces
    left join staging.orders as orders on orders.order_number = pieces.order_number
    left join units_on_lines using (centra_return_id, shipment_line_id, piece)
    left join staging.return_items as items using (return_item_id)
    left join matching.matched_items as matched using (return_item_id)
    left join staging.order_lines as lines on lines.order_line_id = pieces.order_line_id
),

-- The voucher that a Return takes off: as its units were promised, where that is the same sum, else by their value.
weighed_pieces as (
    select
        known_pieces.*, returns.discounts, returns.discount_tax_added, sum(alike) over on_return_so_far as place,
        sum(alike) over on_return as pieces,
        sum(voucher_share) over on_return = returns.discounts
        and count(voucher_share) over on_return = count(*) over on_return
            as is_as_promised,
        sum(value) over on_return_so_far as value_upto, sum(value) over on_return as value_of_all
    from known_pieces
    join staging.centra_returns as returns using (centra_return_id)
    window
        on_return as (partition by centra_return_id),
        on_return_so_far as (
            partition by centra_return_id
            order by shipment_line_id, piece rows between unbounded preceding and current row
        )
),

pieces_with_voucher as (
    select
        *, case
            when discounts = 0 then 0
            when is_as_promised then voucher_share
            else part_of(
                    discounts, case when value_of_all > 0 then value_upto - value else place - alike end,
                    case when value_of_all > 0 then value_upto else place end,
                    case when value_of_all > 0 then value_of_all else pieces end, currency
                )
        end as voucher_kept
    from weighed_pieces
),

-- The tax that Centra adds to the voucher is shared as the voucher is.
pieces_with_voucher_tax as (
    select
        *,
        case when discount_tax_added = 0 then 0 else part_of(
                    discount_tax_added, voucher_upto - voucher_kept, voucher_upto, discounts, currency
                )
        end::decimal(18, 4) as voucher_added
    from (
        select
            *, (sum(voucher_kept) over (
                partition by centra_return_id order by place rows between unbounded preceding and current row
            ))::decimal(18, 4) as voucher_upto
        from pieces_with_voucher
    )
),

-- Each piece's tax less that of its voucher; the last piece takes what rounding leaves of the Return's own figure, the one that is
-- taxed most what was paid beyond it.
taxed_pieces as (
    select
        *, voucher_kept + voucher_added as voucher,
        line_tax - case
            when voucher_kept = 0 then 0
            else voucher_tax_of(tax_mode, voucher_kept, voucher_added, coalesce(tax_percent, 0), currency)
        end as own_tax,
        row_number() over (partition by centra_return_id order by line_tax desc, place) = 1 as is_most_taxed
    from pieces_with_voucher_tax
)

select
    taxed_pieces.centra_return_id,
    order_number,
    currency,
    shipment_line_id,
    piece,
    alike as pieces,
    return_item_id,
    return_id,
    is_foreign,
    is_exchange, place,
    value - voucher + case when is_most_taxed then paid_beyond else 0 end as gross,
    case when place = pieces then returns.tax - sum(own_tax) over on_return_taxed + own_tax else own_tax end
    + case when is_most_taxed then paid_beyond else 0 end as tax
from taxed_pieces
join (
    select
        returns.centra_return_id, returns.tax,
        -- Where Centra settles the tax after the payment, what was paid is what was given back. Of an exchange, goods were.
        case when returns.centra_return_id in (select centra_return_id from known_pieces where is_exchange) then 0
            else states.settled - returns.grand_total
        end as paid_beyond
    from staging.centra_returns as returns
    join return_states as states using (centra_return_id)
) as returns using (centra_return_id)
window on_return_taxed as (partition by taxed_pieces.centra_return_id);
