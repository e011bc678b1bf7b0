-- changes: findings
-- kind:  exception
-- grain: one row per unit that has arrived and has no grade
-- exception:    disposition_missing
-- subject:      stock
-- owner:        warehouse
-- window_hours: 480
-- precedence:   120
-- severity:     warning
-- family:       stalled_returns
-- awaits:       grade
-- measure:      unbooked_units_value
-- opens:        The unit arrived 20 days ago and has no grade: it is not known whether it can be sold.
-- closes:       a grade is reported.

-- Arrived, and nobody grades it.
insert into findings by name
select
    'disposition_missing' as kind,
    'stock' as subject,
    'fix_happy_returns' as class,
    'data_gap' as cause,
    'happy_returns' as culprit,
    units.return_id, units.return_item_id, units.order_number, units.sku, units.currency,
    units.unit_price as amount,
    units.arrived_at as fact_at,
    lateness.window_hours as window_hours,
    'Arrived on ' || strftime(units.arrived_at, '%Y-%m-%d') || ' and not graded'
    || case
        when lateness.is_learned then '; 95 of 100 are graded within ' || lateness.p95_hours || ' hours' else ''
    end as detail,
    'Find the unit in the warehouse or store and have it graded.' as next_step,
    units.evidence
from known_units as units
left join last_seen using (return_item_id)
left join reconciliation.lateness as lateness
    on lateness.stage = last_event and lateness.dropoff_method = coalesce(units.dropoff_method, 'unknown')
where units.arrived_at is not null and units.disposition is null and not units.is_returnless;

-- closing
insert into proofs by name
select unseen.exception_id, proven_by('graded', 'graded ' || known.disposition) as proof
from unseen
join known_units as known on known.return_item_id = unseen.return_item_id
where unseen.kind = 'disposition_missing' and known.disposition is not null;
