-- changes: findings
-- kind:  table
-- grain: one row per effect whose unit was corrected after it

-- changes: findings
-- kind:  table
-- grain: one row per effect whose unit was corrected after it

-- corrected_after_credit and corrected_after_restock: Happy Returns says of a unit now that it is of another order, another return
-- or another article than it was when an effect of it went out. What was done stays, and a person corrects it.

-- One row per unit and kind of money or goods that it was given as something else.
insert into findings by name
with
gave as (
    select ledger.*
    from push.ledger
    where ledger.effect_kind in ('credit_note', 'exchange_order')
        and ledger.state in ('sending', 'unknown', 'confirmed')
        and ledger.return_item_id in (
            select return_item_id from staging.return_items semi join matching.orders_in_play using (order_number)
        )
    qualify row_number() over (
            partition by ledger.return_item_id, ledger.effect_kind
            order by ledger.confirmed_at desc nulls last, ledger.effect_key
        ) = 1
),

given as (
    select gave.*, before.sku as sku_before, before.order_number as order_before, before.unit_price as price_before
    from gave
    left join (
        select lines.shipment_line_id, lines.order_number, lines.unit_price, sold.sku
        from staging.shipment_lines as lines
        semi join gave using (shipment_line_id)
        join staging.order_lines as sold using (order_line_id)
    ) as before using (shipment_line_id)
)

select
    'corrected_after_credit' as kind,
    case given.effect_kind when 'exchange_order' then 'exchange' else 'credit' end as subject,
    'fix_centra' as class,
    'data_gap' as cause,
    'happy_returns' as culprit,
    items.return_id, items.return_item_id, items.order_number, matched.present_sku as sku, given.currency,
    coalesce(given.amount, given.price_before) as amount,
    items.source_time as fact_at,
    case given.effect_kind when 'exchange_order' then 'Exchanged' else 'Credited' end || ' as '
    || concat_ws(
        ', ',
        coalesce(given.sku_before, 'an article') || ' of order ' || coalesce(given.order_before, given.order_number),
        case when given.price_before is not null then money_text(given.price_before, given.currency) end,
        'return ' || given.return_id
    ) || ' (' || coalesce(given.centra_id, 'in doubt') || '); Happy Returns now says '
    || concat_ws(
        ', ',
        coalesce(matched.present_sku, items.sku, 'an article that it does not name')
        || ' of order '
        || items.order_number,
        'return ' || items.return_id
    ) as detail,
    'Ask which is right. Settle the difference by hand in Centra; to have it done again as it is now, delete our Return there and '
    || '`hr-centra adopt ' || items.return_id || '`.' as next_step,
    json_object(
        'source_file',
        items.source_file,
        'source_line',
        items.source_line,
        'order_before',
        coalesce(given.order_before, given.order_number),
        'sku_before', given.sku_before, 'return_before', given.return_id, 'centra_id', given.centra_id
    ) as evidence
from given
join staging.return_items as items using (return_item_id)
semi join matching.orders_in_play as in_play on in_play.order_number = items.order_number
join matching.matched_items as matched on matched.return_item_id = given.return_item_id
where matched.is_corrected
    or given.return_id is distinct from coalesce(items.return_id, given.return_id)
    or coalesce(given.order_before, given.order_number) is distinct from items.order_number;

-- One row per unit that lies in stock as another article than it is.
insert into findings by name
with
booked as (
    from booked_movements where "state" = 'confirmed'
    qualify row_number() over (
            partition by return_item_id order by confirmed_at desc nulls last, planned_at desc, effect_key
        ) = 1
)

select
    'corrected_after_restock' as kind,
    'stock' as subject,
    'fix_centra' as class,
    'data_gap' as cause,
    'happy_returns' as culprit,
    items.return_id,
    items.return_item_id,
    items.order_number,
    coalesce(matched.present_sku, items.sku) as sku,
    matched.currency,
    matched.unit_price as amount,
    items.source_time as fact_at,
    'Booked as '
    || booked.sku
    || ' in warehouse '
    || booked.warehouse_id
    || ' (stock change '
    || coalesce(booked.centra_id, '-')
    || '); Happy Returns now says ' || coalesce(matched.present_sku, items.sku) as detail,
    'Look which article it is. If it is ' || coalesce(matched.present_sku, items.sku) || ': take one ' || booked.sku
    || ' out of that warehouse in Centra and put the other in, then write this off in the workbook.' as next_step,
    json_object(
        'source_file',
        items.source_file,
        'source_line',
        items.source_line,
        'stock_change_id',
        booked.centra_id,
        'sku_before',
        booked.sku,
        'warehouse_id', booked.warehouse_id
    ) as evidence
from booked
join staging.return_items as items using (return_item_id)
join matching.matched_items as matched using (return_item_id)
where booked.warehouse_id is not null -- else it was moved out again
    and coalesce(matched.present_sku, items.sku) <> booked.sku
    and coalesce(matched.reason, '') not in ('no_such_order', 'order_not_read_yet');
