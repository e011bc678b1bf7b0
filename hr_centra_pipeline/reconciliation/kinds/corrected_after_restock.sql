-- changes: findings
-- kind:  exception
-- grain: one row per unit that is in stock as another article than it is
-- exception:    corrected_after_restock
-- subject:      stock
-- owner:        warehouse
-- window_hours: 0
-- precedence:   83
-- severity:     error
-- family:       stock_gaps
-- outranked:    told
-- opens:        The unit was booked into stock as one article, and Happy Returns names another one now: one
--               piece too many of the one, one too few of the other.
-- closes:       Happy Returns names the booked article again, or the unit is moved out.

insert into findings by name
with
last_movements as (
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
    || last_movements.sku
    || ' in warehouse '
    || last_movements.warehouse_id
    || ' (stock change '
    || coalesce(last_movements.centra_id, '-')
    || '); Happy Returns now says ' || coalesce(matched.present_sku, items.sku) as detail,
    'Look which article it is. If it is ' || coalesce(matched.present_sku, items.sku) || ': take one ' || last_movements.sku
    || ' out of that warehouse in Centra and put the other in, then write this off in the workbook.' as next_step,
    json_object(
        'source_file',
        items.source_file,
        'source_line',
        items.source_line,
        'stock_change_id',
        last_movements.centra_id,
        'sku_before',
        last_movements.sku,
        'warehouse_id', last_movements.warehouse_id
    ) as evidence
from last_movements
join staging.return_items as items using (return_item_id)
join matching.matched_items as matched using (return_item_id)
where last_movements.warehouse_id is not null -- else it was moved out again
    and coalesce(matched.present_sku, items.sku) <> last_movements.sku
    and coalesce(matched.reason, '') not in ('no_such_order', 'order_not_read_yet');

-- closing
insert into proofs by name
select
    unseen.exception_id,
    proven_by('as_done', 'Happy Returns again reports what was done, or it was reverted') as proof
from unseen
semi join known_units using (return_item_id)
where unseen.kind = 'corrected_after_restock';
