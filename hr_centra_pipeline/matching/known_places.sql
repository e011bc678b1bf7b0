-- makes: known_places
-- kind:  step
-- grain: one row per unit whose place is known: an effect of it was sent, or Centra shows one with its key
-- loop:  push.ledger: a match is frozen once an effect of its unit was sent

-- One row per unit whose place is known: an effect of it was sent (the ledger), or Centra shows one with its key.
create or replace temp table known_places as
with
sent_places as (
    select return_item_id, any_value(shipment_line_id) as shipment_line_id
    from push.ledger
    semi join items_in_play using (return_item_id)
    where gives_value(effect_kind) and not is_foreign
        and state in ('sending', 'unknown', 'confirmed') and shipment_line_id is not null
    group by return_item_id
),

shown_places as (
    select candidates.return_item_id, min(lines.shipment_line_id) as shipment_line_id
    from (
        select centra_return_id, unnest(effect_keys) as effect_key
        from staging.centra_returns semi join matching.orders_in_play using (order_number)
        where deleted_at is null
    ) as keys
    join (
        select
            return_item_id, unnest([
                effect_key('credit_note', [return_item_id]), effect_key('exchange_order', [return_item_id])
            ]) as effect_key
        from items_in_play
    ) as unit_keys using (effect_key)
    join staging.centra_return_lines as lines using (centra_return_id)
    join candidates using (return_item_id, order_line_id)
    group by candidates.return_item_id
)

select return_item_id, coalesce(sent_places.shipment_line_id, shown_places.shipment_line_id) as shipment_line_id
from sent_places
full join shown_places using (return_item_id)
join items_in_play using (return_item_id);
