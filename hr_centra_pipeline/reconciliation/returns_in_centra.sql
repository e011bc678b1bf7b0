-- makes: money_orders, return_states, carried_effects
-- kind:  step
-- grain: one row per Return of the orders whose facts are made again: what it was paid, and which of our effects it
--        carries

-- The single entry of all that is about money: one row per order whose facts are made again. Orders that one return joins
-- are active together, since a fee per return is charged on one of them.
create or replace temp table money_orders as
from matching.orders_in_play;

-- One row per Return: is it final, what was paid on it, and what that makes of its total.
create or replace temp table return_states as
select
    centra_return_id,
    created_at,
    (is_completed is distinct from true) or is_pending as is_pending,
    paid,
    coalesce(given, 0) as given,
    given_at, settled
from settled_returns
semi join money_orders using (order_number)
where deleted_at is null;

-- One row per effect of hr-centra that a Return carries: by the keys in its comment, else (it was emptied) by the ledger.
create or replace temp table carried_effects as
with
marked_effects as (
    select centra_return_id, unnest(effect_keys) as effect_key, deleted_at is not null as is_deleted
    from staging.centra_returns
    semi join money_orders using (order_number)
),

remembered_effects as (
    select returns.centra_return_id, ledger.effect_key, returns.deleted_at is not null as is_deleted
    from (from push.ledger semi join money_orders using (order_number)) as ledger
    join staging.centra_returns as returns on returns.centra_return_id::varchar = ledger.centra_id
    anti join marked_effects on marked_effects.effect_key = ledger.effect_key
    where is_part_of_a_credit(ledger.effect_kind) and not ledger.is_foreign
)

select
    keys.centra_return_id,
    keys.is_deleted,
    ledger.effect_key,
    ledger.effect_kind,
    ledger.return_id,
    ledger.return_item_id,
    ledger.shipment_line_id, ledger.amount
from (
    from marked_effects
    union all
    from remembered_effects
) as keys
join push.ledger using (effect_key)
where is_on_a_return(ledger.effect_kind);
