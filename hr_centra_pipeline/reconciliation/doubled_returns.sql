-- makes: doubled_returns
-- kind:  step
-- grain: one row per external Return with paid pieces on a line of which a unit was credited by us

-- One row per external Return with paid pieces that no unit of Happy Returns has, on a line of which a unit was
-- credited by us: made for a return that it names, or while that unit's credit was under way.
create or replace temp table doubled_returns as
with
-- One row per Return and line that is adopted.
adopted_pieces as (
    select foreign_centra_return_id as centra_return_id, shipment_line_id, count(*) as units
    from matching.matched_items where foreign_centra_return_id is not null
    group by all
),

surplus as (
    select
        returns.centra_return_id,
        returns.order_number,
        returns.currency,
        returns.created_at,
        returns.made_by,
        returns.express_codes,
        lines.shipment_line_id, lines.line_value, lines.quantity, lines.quantity - coalesce(adopted_pieces.units, 0) as pieces
    from staging.centra_returns as returns
    semi join matching.orders_in_play using (order_number)
    join staging.centra_return_lines as lines using (centra_return_id)
    left join
        adopted_pieces
        on adopted_pieces.centra_return_id = returns.centra_return_id and adopted_pieces.shipment_line_id = lines.shipment_line_id
    where returns.deleted_at is null and returns.packet_key is null and len(coalesce(returns.effect_keys, [])) = 0
        and lines.quantity > coalesce(adopted_pieces.units, 0)
        and exists (
            select 1 from staging.payment_entries as entries
            where entries.centra_return_id = returns.centra_return_id and is_given_back(entries.money)
        )
        -- Ours, even when somebody has emptied its comment.
        and returns.centra_return_id::varchar not in (
            select centra_id from push.packets where centra_id is not null and operation in ('credit', 'exchange')
        )
)

select
    surplus.centra_return_id, surplus.order_number, surplus.currency, surplus.created_at, surplus.made_by,
    units.return_id, units.return_item_id, units.sku,
    share_of(surplus.line_value, surplus.pieces::decimal(18, 4), surplus.quantity::decimal(18, 4), surplus.currency)
        as amount,
    ledger.centra_id as ours
from surplus
join push.ledger
    on ledger.shipment_line_id = surplus.shipment_line_id and gives_value(ledger.effect_kind)
        and ledger.state = 'confirmed' and not ledger.is_foreign
join known_units as units on units.return_item_id = ledger.return_item_id
join staging.return_items as items on items.return_item_id = ledger.return_item_id
left join push.packets on packets.packet_key = ledger.packet_key
where list_has_any(coalesce(surplus.express_codes, []), [items.express_code, items.return_id])
    or (
        surplus.created_at >= items.return_created_at
        and surplus.created_at <= coalesce(ledger.confirmed_at, ledger.updated_at) + interval 1 hour
    )
qualify row_number() over (
        partition by surplus.centra_return_id, surplus.shipment_line_id
        order by
            list_has_any(coalesce(surplus.express_codes, []), [items.express_code, items.return_id]) desc,
            ledger.confirmed_at desc, units.return_item_id
    ) = 1;
