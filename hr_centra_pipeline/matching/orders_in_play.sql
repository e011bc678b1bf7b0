-- makes: matching.orders_in_play
-- kind:  table
-- grain: one row per order that this run looks at
-- loop:  matching.matched_items: a unit that names another order now leaves a place free on the one that it was
--        matched with
-- loop:  effects.replacements: what became of a replacement is about the order that the last plan found it for
-- loop:  push.ledger: a stock change names units by keys that an earlier push has sent
-- loop:  reconciliation.settled_orders: what the last reconciliation left settled is left alone until something new
--        touches it

-- Which orders are looked at in this run: those that something new touches, those that are not settled yet, and those that
-- share a return with them. Everything else was settled by an earlier run and cannot have changed.
-- since: the last batch that was looked at.
delete from matching.orders_in_play;
insert into matching.orders_in_play
with
new_units as (
    select return_item_id, order_number from landing.happy_returns_items where batch > $since
    union all
    select return_item_id, order_number from landing.happy_returns_shipments where batch > $since
),

touched_orders as (
    select order_number from new_units
    -- A unit that names another order now has left a place free on the one before.
    union all
    select order_number from matching.matched_items semi join new_units using (return_item_id)
    union all
    select order_number from landing.happy_returns_returns where batch > $since
    union all
    select order_number from landing.happy_returns_refunds where batch > $since
    union all
    select order_number from landing.centra_orders where batch > $since
    union all
    select order_number from landing.centra_shipments where batch > $since
    union all
    -- What became of a replacement is about the order whose unit it replaces.
    select replacements.order_number
    from (select order_number, unnest(order_numbers) as replacement from effects.replacements) as replacements
    where replacements.replacement in (
            select order_number from landing.centra_orders where batch > $since
            union all
            select order_number from landing.centra_shipments where batch > $since
        )
    union all
    select order_number from landing.centra_returns where batch > $since
    union all
    select order_number from landing.centra_absent_orders where batch > $since
    union all
    -- Where a return's state is written: on the order, or on the customer.
    select object_id as order_number from landing.centra_status_marks where object_type = 'order' and batch > $since
    union all
    select orders.order_number
    from landing.centra_status_marks as marks
    join staging.orders as orders on orders.customer_id = try_cast(marks.object_id as bigint)
    where marks.object_type = 'customer' and marks.batch > $since
    union all
    select order_number from landing.payout_lines where batch > $since and line_type <> 'capture'
    union all
    -- A settlement may name the payment or the refund only.
    select order_number from new_bookings
    -- A stock change names its units by their keys.
    union all
    select ledger.order_number
    from (
        select unnest(regexp_extract_all(payload ->> 'comment', '\bHR[A-Z2-7]{13}\b')) as effect_key
        from landing.centra_stock_changes where batch > $since
    ) as named_keys
    join push.ledger using (effect_key)
    -- What a person has decided since (adopted a return, tied a refund or an order) is acted on at once.
    union all
    select items.order_number
    from push.adoptions
    join staging.return_items as items using (return_id)
    where adopted_at >= coalesce($looked_at::timestamptz, '-infinity'::timestamptz)
    union all
    select ties.order_number from push.ties
    where tied_at >= coalesce($looked_at::timestamptz, '-infinity'::timestamptz)
    union all
    select items.order_number
    from push.ties
    join staging.return_items as items using (return_item_id)
    where tied_at >= coalesce($looked_at::timestamptz, '-infinity'::timestamptz)
    union all
    select items.order_number
    from push.exchange_decisions
    join staging.return_items as items using (return_item_id)
    where decided_at >= coalesce($looked_at::timestamptz, '-infinity'::timestamptz)
),

-- Every order that either side names with a return.
named_orders as (
    select order_number from staging.return_items
    union
    select order_number from staging.returns
    union
    select order_number from staging.refunds
    union
    select order_number from staging.centra_returns
)

select order_number from named_orders
where order_number in (select order_number from touched_orders)
    or order_number not in (select order_number from reconciliation.settled_orders);
