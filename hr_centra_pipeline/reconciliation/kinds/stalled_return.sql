-- changes: findings
-- kind:  exception
-- grain: one row per unit that is late on its way, and per unit that nobody approves or refuses
-- exception:    stalled_return
-- subject:      stock, credit
-- owner:        warehouse
-- window_hours: 432
-- precedence:   110
-- severity:     warning
-- family:       stalled_returns
-- awaits:       goods
-- measure:      unbooked_units_value
-- opens:        Two things: the goods were handed in at a bar or to the carrier (or seen at the hub, or
--               left it) and nothing was seen of them for 18 days, or for longer than they usually
--               take; or they arrived and were neither approved nor refused for 7 days.
-- closes:       the next physical event, or the approval, is reported.

-- On its way, and not heard of since: after the drop-off, or after it left the hub. Late is what takes longer than it usually
-- does, as far as our own history shows.
insert into findings by name
select
    'stalled_return' as kind,
    'stock' as subject,
    'timing' as class,
    'logistics_delay' as cause,
    'logistics' as culprit,
    units.return_id, units.return_item_id, units.order_number, units.sku, units.currency,
    units.unit_price as amount,
    last_event_at as fact_at,
    lateness.window_hours as window_hours,
    case last_event
        when 'departed' then 'Left the hub on ' when 'hub_received' then 'Seen at the hub on ' else 'Dropped off on '
    end
    || strftime(last_event_at, '%Y-%m-%d') || ' and not heard of since'
    || case when lateness.is_learned then '; 95 of 100 take at most ' || lateness.p95_hours || ' hours' else '' end
        as detail,
    'Ask Happy Returns'' support for the parcel (drop-off and hub scans), and claim it when it is lost.' as next_step,
    json_merge_patch(units.evidence, json_object('last_event', last_event, 'dropoff_method', units.dropoff_method))
        as evidence
from known_units as units
join last_seen using (return_item_id)
left join reconciliation.lateness as lateness
    on lateness.stage = last_event and lateness.dropoff_method = coalesce(units.dropoff_method, 'unknown')
where units.arrived_at is null and units.disposition is null and not units.is_returnless
    and last_event in ('dropped_off', 'received', 'hub_received', 'departed');

-- Arrived, and nobody approves or refuses it.
insert into findings by name
select
    'stalled_return' as kind,
    'credit' as subject,
    'fix_happy_returns' as class,
    'data_gap' as cause,
    'happy_returns' as culprit,
    units.return_id, units.return_item_id, units.order_number, units.sku, units.currency,
    units.unit_price as amount,
    units.received_at as fact_at,
    parameters.unapproved_days * 24 as window_hours,
    'Received on ' || strftime(units.received_at, '%Y-%m-%d') || ' and neither approved nor refused' as detail,
    'Approve or refuse it in Happy Returns'' dashboard: the shopper waits for the money.' as next_step,
    units.evidence
from known_units as units
cross join policy.parameters
where units.received_at is not null and units.approved_at is null and not units.is_refused;

-- closing
insert into proofs by name
select
    unseen.exception_id,
    case
        when known.disposition is not null then proven_by('graded', 'graded ' || known.disposition)
        when unseen.subject = 'credit' and known.approved_at is not null
            then proven_by('approved', 'approved on ' || strftime(known.approved_at, '%Y-%m-%d'))
        when unseen.subject = 'credit' and known.is_refused then proven_by('refused', 'refused by Happy Returns')
        when unseen.subject = 'stock' and known.arrived_at is not null
            then proven_by('arrived', 'arrived on ' || strftime(known.arrived_at, '%Y-%m-%d'))
        when unseen.subject = 'stock' then proven_by('seen_again', 'seen again on its way')
    end as proof
from unseen
left join known_units as known on known.return_item_id = unseen.return_item_id
where unseen.kind = 'stalled_return';
