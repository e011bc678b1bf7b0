-- exchange_without_order and exchange_refused: a shopper who waits for the replacement.
insert into findings by name
select
    'exchange_without_order' as kind,
    'exchange' as subject,
    class, cause, culprit, return_id, return_item_id, order_number, sku, currency,
    unit_price as amount,
    sendable_at as fact_at,
    'The exchange was due on ' || strftime(trigger_at, '%Y-%m-%d') || ' and no replacement is ordered: ' || why as detail,
    next_step,
    evidence
from missing_effects
where effect_kind = 'exchange_order';

insert into findings by name
select
    'exchange_refused' as kind,
    'exchange' as subject,
    'fix_centra' as class,
    'system_error' as cause,
    'centra' as culprit,
    units.return_id,
    units.return_item_id,
    units.order_number,
    units.sku,
    units.currency,
    units.unit_price as amount,
    ledger.updated_at as fact_at,
    'Centra refused the replacement order: ' || coalesce(ledger.reason, 'no reason given') as detail,
    'Mend what Centra names, or offer the shopper another article or the money. It is tried again when the return or the policy changes.' as next_step,
    json_merge_patch(units.evidence, json_object('effect_key', effect_key, 'packet_key', packet_key)) as evidence
from push.ledger
join known_units as units using (return_item_id)
where ledger.state = 'rejected' and ledger.effect_kind = 'exchange_order';
