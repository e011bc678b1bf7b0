-- changes: findings
-- kind:  exception
-- grain: one row per graded unit whose stock movement is due and not in Centra
-- exception:    return_without_stock_movement
-- subject:      stock
-- owner:        warehouse
-- window_hours: 72
-- precedence:   131
-- severity:     warning
-- family:       stock_gaps
-- counterpart:  stock_movement
-- measure:      unbooked_units_value
-- opens:        The unit was graded, its restock hold is over, and Centra does not have the stock movement:
--               sellable goods that cannot be bought, or damaged ones that can.
-- closes:       the stock change is seen in Centra.

-- A graded unit that was not put where its grade says.
insert into findings by name
select
    'return_without_stock_movement' as kind,
    'stock' as subject,
    class, cause, culprit, return_id, return_item_id, order_number, sku, currency,
    unit_price as amount,
    sendable_at as fact_at,
    'Graded '
    || disposition
    || ' on '
    || strftime(disposition_at, '%Y-%m-%d')
    || ' and not booked in Centra: '
    || why as detail,
    next_step,
    json_merge_patch(evidence, json_object('disposition', disposition)) as evidence,
    is_dry_run
from missing_effects
where effect_kind = 'inventory_adjustment' and is_mapped;

-- closing
insert into proofs by name
select exception_id, coalesce(effect_proof, answer_proof) as proof
from unseen
where kind = 'return_without_stock_movement';
