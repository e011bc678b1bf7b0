-- changes: findings
-- kind:  exception
-- grain: one row per replacement order that is not what was meant
-- exception:    exchange_differs
-- subject:      exchange
-- owner:        customer_service
-- window_hours: 0
-- precedence:   91
-- severity:     error
-- family:       exchange_gaps
-- asks:         goods_or_money
-- opens:        The replacement order was made and read back, and it is not what was meant: another address,
--               market, price list or currency, a total that is not zero, or other lines.
-- closes:       the order is what was meant, or was accepted, and the exchange is confirmed.

-- Read back before our Return is completed: what differs is held until a person corrects or accepts it.
insert into findings by name
select
    'exchange_differs' as kind,
    'exchange' as subject,
    'fix_centra' as class,
    'data_gap' as cause,
    'centra' as culprit,
    units.return_id,
    units.return_item_id,
    units.order_number,
    units.sku,
    units.currency,
    units.unit_price as amount,
    packets.created_at as fact_at,
    'The replacement is not what was meant: order '
    || array_to_string(from_json(packets.payload -> 'order_numbers', '["varchar"]'), ', ') || ' differs in '
    || array_to_string(from_json(packets.payload -> 'differs', '["varchar"]'), ', ') as detail,
    'Correct the order in Centra before it is shipped: the next sync compares again and goes on. To accept it as it is: '
    || '`hr-centra approve '
    || packets.packet_key || '`.' as next_step,
    json_merge_patch(units.evidence, json_object(
        'effect_key', ledger.effect_key, 'packet_key', packets.packet_key, 'differs', packets.payload -> 'differs'
    )) as evidence
from push.packets
join push.ledger using (packet_key)
join known_units as units using (return_item_id)
where packets.trouble = 'differs' and ledger.state in ('sending', 'unknown');

-- closing
insert into proofs by name
select
    unseen.exception_id,
    coalesce(
        case
            when replacements.is_paid_instead then replacements.paid_instead_proof
            else coalesce(unseen.effect_proof, unseen.answer_proof)
        end,
        unseen.refusal_proof
    ) as proof
from unseen
left join unseen_replacements as replacements using (exception_id)
where unseen.kind = 'exchange_differs';
