-- changes: findings
-- kind:  exception
-- grain: one row per replacement that is ordered and has not left
-- exception:    exchange_not_shipped
-- subject:      exchange
-- owner:        warehouse
-- window_hours: 120
-- precedence:   133
-- severity:     warning
-- family:       exchange_gaps
-- opens:        The replacement is ordered and was not shipped within the window.
-- closes:       Centra shows it shipped; canceled, it becomes `exchange_canceled`.

insert into findings by name
select
    'exchange_not_shipped' as kind,
    'exchange' as subject,
    'timing' as class,
    'logistics_delay' as cause,
    'logistics' as culprit,
    latest.return_id, latest.return_item_id, latest.order_number, latest.sku, latest.currency,
    unit_price as amount,
    ordered_at as fact_at,
    'Replacement order '
    || coalesce(replacement_order_number, '-')
    || ' was made on '
    || strftime(ordered_at, '%Y-%m-%d')
    || ' and is not shipped: ' || case
        when latest.shipment_id is null then 'Centra shows no shipment of it'
        when with_refused.shipment_id is not null
            then 'its shipment ' || latest.shipment_id
                || ' is held, since it also holds the replacement of '
                || with_refused.return_item_id
                || ', which was refused'
        when releases.effect_key is not null
            then 'its shipment ' || latest.shipment_id || ' is not marked as '
                || replace(releases."text", '_', ' ') || coalesce(' (' || release_ledger.reason || ')', '')
        else 'its shipment ' || latest.shipment_id || ' has not left'
    end as detail,
    case
        when with_refused.shipment_id is not null
            then 'Take the refused replacement out of the order in Centra, or release the shipment by hand with both.'
        else 'Find out in the warehouse why it does not leave: no stock, no shipment, not released, or forgotten.'
    end as next_step,
    latest.evidence
from latest_replacements as latest
-- One mark sends off all that a shipment holds: the release waits for a person.
left join (
    select shipment_id, min(return_item_id) as return_item_id
    from latest_replacements where is_refused and shipment_id is not null group by shipment_id
) as with_refused using (shipment_id)
left join
    effects.pending_exchange_orders
        as releases
    on releases.effect_kind = 'exchange_release'
        and releases.return_item_id = latest.return_item_id
left join push.ledger as release_ledger on release_ledger.effect_key = releases.effect_key
where latest.state = 'ordered' and not is_refused;

-- closing
insert into proofs by name
select
    unseen.exception_id,
    coalesce(
        case
            when replacements.is_paid_instead then replacements.paid_instead_proof
            when replacements.state = 'shipped'
                then proven_by(
                        'shipped',
                        'replacement order ' || replacements.replacement_order_number || ' was shipped on '
                        || strftime(replacements.shipped_at, '%Y-%m-%d')
                    )
            else coalesce(unseen.effect_proof, unseen.answer_proof)
        end,
        unseen.refusal_proof
    ) as proof
from unseen
left join unseen_replacements as replacements using (exception_id)
where unseen.kind = 'exchange_not_shipped';
