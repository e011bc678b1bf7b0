-- changes: findings
-- kind:  exception
-- grain: one row per unit whose grade the policy does not map
-- exception:    unmapped_disposition
-- subject:      stock
-- owner:        warehouse
-- window_hours: 24
-- precedence:   100
-- severity:     warning
-- family:       stock_gaps
-- measure:      unbooked_units_value
-- opens:        The unit was graded with a word that the policy does not map.
-- closes:       the unit is booked.

-- A graded unit that was not put where its grade says.
insert into findings by name
select
    'unmapped_disposition' as kind,
    'stock' as subject,
    class, cause, culprit, return_id, return_item_id, order_number, sku, currency,
    unit_price as amount,
    disposition_at as fact_at,
    'Graded '
    || disposition
    || ' on '
    || strftime(disposition_at, '%Y-%m-%d')
    || ' and not booked in Centra: '
    || why as detail,
    next_step,
    json_merge_patch(evidence, json_object('disposition', disposition)) as evidence
from missing_effects
where effect_kind = 'inventory_adjustment' and is_mapped is distinct from true;

-- closing
insert into proofs by name
select
    unseen.exception_id,
    coalesce(
        unseen.effect_proof,
        unseen.answer_proof,
        case when known.is_mapped then proven_by('mapped', 'the policy maps ' || known.disposition) end
    ) as proof
from unseen
left join known_units as known on known.return_item_id = unseen.return_item_id
where unseen.kind = 'unmapped_disposition';
