-- changes: findings
-- kind:  table
-- grain: one row per graded unit that was not put where its grade says

-- changes: findings
-- kind:  table
-- grain: one row per graded unit that was not put where its grade says

-- unmapped_disposition and return_without_stock_movement: a graded unit that was not put where its grade says.
insert into findings by name
select
    case when is_mapped then 'return_without_stock_movement' else 'unmapped_disposition' end as kind,
    'stock' as subject,
    class, cause, culprit, return_id, return_item_id, order_number, sku, currency,
    unit_price as amount,
    case when is_mapped then sendable_at else disposition_at end as fact_at,
    'Graded '
    || disposition
    || ' on '
    || strftime(disposition_at, '%Y-%m-%d')
    || ' and not booked in Centra: '
    || why as detail,
    next_step,
    json_merge_patch(evidence, json_object('disposition', disposition)) as evidence
from missing_effects
where effect_kind = 'inventory_adjustment';
