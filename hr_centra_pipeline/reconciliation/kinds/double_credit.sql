-- changes: findings
-- kind:  exception
-- grain: one row per unit for which more was given than was paid, per external Return on a unit that was credited, and per credit that is in Centra twice
-- exception:    double_credit
-- subject:      credit
-- owner:        finance
-- window_hours: 0
-- precedence:   40
-- severity:     error
-- family:       none
-- measure:      over_credits_found
-- opens:        More was given back for one unit than was paid for it: by a refund, a gift card, a replacement,
--               a chargeback, or an external Return, in any combination.
-- closes:       Centra shows the value given once.

-- One row per unit for which more was given back than was paid.
insert into findings by name
select
    'double_credit' as kind,
    'credit' as subject,
    'fix_centra' as class,
    'amount_mismatch' as cause,
    case
        when foreign_refund > 0 then external.made_by
        when tied_refund > 0 then 'person'
        when elsewhere > 0 then 'happy_returns'
        else 'unknown'
    end as culprit,
    value.return_id, value.return_item_id, value.order_number, units.sku, value.currency,
    value.too_much as amount,
    coalesce((
        select max(entries.created_at) from staging.payment_entries as entries
        where entries.order_number = value.order_number and entries.is_refund
    ), $now) as fact_at,
    'Given back for it: '
    || money_text(value.given, value.currency)
    || ', paid were '
    || money_text(value.paid, value.currency)
    || ' (' || concat_ws(
        ', ',
        case when refund > 0 then 'refund ' || money_text(refund, value.currency) end,
        case when gift_card > 0 then 'store credit ' || money_text(gift_card, value.currency) end,
        case when exchange > 0 then 'replacement ' || money_text(exchange, value.currency) end,
        case when elsewhere > 0 then 'elsewhere ' || money_text(elsewhere, value.currency) end,
        case
            when foreign_refund > 0 then 'by ' || maker_text(external.made_by) || ' ' || money_text(foreign_refund, value.currency)
        end,
        case when tied_refund > 0 then 'without a Return ' || money_text(tied_refund, value.currency) end,
        case when chargeback > 0 then 'chargeback ' || money_text(chargeback, value.currency) end
    ) || ')' as detail,
    'Claim it back from the shopper or accept the loss; money is never clawed back automatically.' as next_step,
    json_merge_patch(units.evidence, json_object('root_order', root_order, 'chain_depth', chain_depth)) as evidence
from effects.value_given_back as value
join known_units as units using (return_item_id)
left join staging.centra_returns as external on external.centra_return_id = units.foreign_centra_return_id
semi join matching.orders_in_play on orders_in_play.order_number = value.order_number
where value.too_much > 0 and not value.is_in_doubt;

-- One row per external Return that was refunded on the line of a unit that we credited.
insert into findings by name
select
    'double_credit' as kind, 'credit' as subject, 'Return ' || doubled.centra_return_id as identity,
    'fix_centra' as class, 'data_gap' as cause, doubled.made_by as culprit,
    doubled.return_id, doubled.return_item_id, doubled.order_number, doubled.sku, doubled.currency, doubled.amount,
    doubled.created_at as fact_at,
    'Return ' || doubled.centra_return_id || ', made by ' || maker_text(doubled.made_by)
    || ', was refunded on the line of a unit that hr-centra credited too (' || coalesce(ours, '-') || ')' as detail,
    ask_maker(doubled.made_by)
    || ': was it for the same unit? Then claim the money back; otherwise record which unit it was for.' as next_step,
    json_merge_patch(units.evidence, json_object('centra_return_id', doubled.centra_return_id, 'ours', ours))
        as evidence
from doubled_returns as doubled
join known_units as units using (return_item_id);

-- One row per credit that we made and that is in two Returns.
insert into findings by name
select 'double_credit' as kind, 'credit' as subject, * exclude (place) from repeated_effects where place = 'return';

-- closing
insert into proofs by name
select
    exception_id,
    coalesce(
        effect_proof,
        answer_proof,
        case
            when order_number in (from matching.orders_in_play) then proven_by('given_once', 'Centra shows it given back once')
        end,
        refusal_proof
    ) as proof
from unseen
where kind = 'double_credit';
