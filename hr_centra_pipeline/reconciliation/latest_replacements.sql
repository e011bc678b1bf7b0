-- makes: latest_replacements
-- kind:  step
-- grain: one row per unit: its latest replacement that is confirmed

-- One row per unit: its latest replacement that is confirmed, and what a person has decided about it.
create or replace temp table latest_replacements as
select
    units.* exclude (evidence), replacements.* exclude (return_item_id, return_id, order_number), decisions.decision,
    decisions.decided_by, value.is_paid_instead, gone_returns.centra_return_id is not null as is_return_gone,
    json_merge_patch(units.evidence, json_object(
        'replacement_key', replacements.effect_key, 'replacement_orders', replacements.order_numbers,
        'centra_return_id', replacements.centra_return_id
    )) as evidence
from effects.replacements as replacements
join known_units as units using (return_item_id)
left join effects.value_given_back as value using (return_item_id)
left join
    push.exchange_decisions
        as decisions
    on decisions.return_item_id = replacements.return_item_id
        and decisions.ordinal = replacements.ordinal
left join gone_returns on gone_returns.centra_return_id = replacements.centra_return_id
qualify row_number() over (
        partition by replacements.return_item_id order by replacements.ordinal desc nulls last, replacements.effect_key
    ) = 1;
