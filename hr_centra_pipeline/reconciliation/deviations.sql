-- makes: deviations
-- kind:  step
-- grain: one row per return on an order and component of which one side says something else than the others

-- A component of which one side says something else than the others.
create or replace temp table deviations as
with
-- One row per return on an order with refund rows.
reported_rows as (
    select return_id, order_number, json_group_array(refund_id) as refund_ids
    from (
        select return_id, order_number, refund_id
        from staging.refunds
        semi join money_orders using (order_number)
        order by refund_id
    )
    group by all
),

-- The earliest line of each side that reports what deviates.
sources as (
    select
        facts.return_id, facts.order_number, facts.component, facts.currency,
        arg_min(facts.source, facts.happened_at) filter (where side = 'centra') as centra_source,
        arg_min(facts.source, facts.happened_at) filter (where side = 'happy_returns') as happy_returns_source,
        any_value(facts.source) filter (where side = 'expected') as expected_source
    from reconciliation.refund_facts as facts
    join (select distinct return_id, order_number, component, currency from verdicts where distance <> 0) as deviating_keys
        on deviating_keys.return_id is not distinct from facts.return_id and deviating_keys.order_number = facts.order_number
            and deviating_keys.component = facts.component and deviating_keys.currency = facts.currency
    group by all
),

-- One row per unit that several refund rows name.
units_of_several_rows as (
    select return_item_id
    from staging.refund_units
    group by return_item_id
    having count(distinct refund_id) > 1
),

-- Refund rows that claim the same goods: two that claim one unit, and one for which no unit is left.
repeated_claims as (
    select
        return_id,
        order_number,
        '. Refund rows that claim the same goods: ' || string_agg(refund_id, ', ' order by refund_id) as "text"
    from (
        select
            refunds.return_id, refunds.order_number, refunds.refund_id,
            bool_or(
                units.return_item_id is null or units.return_item_id in (select return_item_id from units_of_several_rows)
            ) as claims_again
        from staging.refunds
        semi join money_orders using (order_number)
        left join staging.refund_units as units using (refund_id)
        where refunds.status in ('issued', 'pending') and refunds.refund_type <> 'exchange'
        group by all
    )
    group by return_id, order_number
    having bool_or(claims_again) and count(*) > 1
),

-- One row per verdict that is a deviation of its own.
deviating_verdicts as (
    select
        *,
        case component when 'exchange' then happy_returns - expected else distance end as off,
        concat_ws(
            ', ', 'expected ' || money_text(expected, currency), 'Happy Returns ' || money_text(happy_returns, currency),
            'Centra ' || money_text(centra, currency), 'payment provider ' || money_text(provider, currency)
        ) as figures
    from verdicts
    where distance <> 0 and not is_within_tolerance
        and deviates <> 'provider' -- one line of the provider is one payout_mismatch
        -- tax that is taken out of the goods at another rate is one trouble
        and not (component = 'items' and exists (
            from verdicts as taxes
            where taxes.component = 'tax' and taxes.return_id is not distinct from verdicts.return_id
                and taxes.order_number = verdicts.order_number and taxes.currency = verdicts.currency
                and taxes.culprit = verdicts.culprit and taxes.distance = -verdicts.distance
        ))
)

select
    deviating_verdicts.component,
    case
        when deviates = 'happy_returns' then 'fix_happy_returns'
        when deviates in ('centra', 'external', 'unknown') then 'fix_centra'
        else 'fix_pipeline'
    end as class,
    case deviates when 'policy' then 'policy_gap' else 'amount_mismatch' end as cause,
    culprit, deviating_verdicts.return_id, deviating_verdicts.order_number, deviating_verdicts.currency,
    abs(off) as amount,
    coalesce(issued_at, made_at) as fact_at,
    upper(deviating_verdicts.component[1]) || deviating_verdicts.component[2:] || ': ' || figures || '. ' || case deviates
        when 'happy_returns' then 'Happy Returns deviates by ' || money_text(off, deviating_verdicts.currency)
        when 'external'
            then 'The Return that '
                || maker_text(made_by)
                || ' made in Centra deviates by '
                || money_text(off, deviating_verdicts.currency)
        when 'centra' then 'Centra''s Return deviates from what Centra sold by ' || money_text(off, deviating_verdicts.currency)
        when 'pipeline' then 'Our own credit deviates by ' || money_text(off, deviating_verdicts.currency)
        when 'policy'
            then case when is_late_row
                        then 'Happy Returns'' row came when the credit had been made already: '
                            || money_text(off, deviating_verdicts.currency)
                            || ' are not settled'
                    else 'The policy deviates by ' || money_text(off, deviating_verdicts.currency)
                end
        else 'Every side says something else'
    end
    || case when deviates = 'happy_returns' then coalesce(repeated_claims."text", '') else '' end as detail,
    case deviates
        when 'happy_returns'
            then 'Compare the refund with the order: correct it at Happy Returns, and settle the '
                || 'difference by hand.'
        when 'external' then ask_maker(made_by) || ' and why, and settle the difference by hand.'
        when 'centra' then 'Compare the Return with its order in Centra, and have Centra''s figures corrected.'
        when 'pipeline' then 'Settle the difference by hand, and look in the push attempts why it was left out.'
        when 'policy'
            then case when is_late_row
                        then 'Settle the difference by hand; if it happens often, let components.amount_wait_hours be longer.'
                    else 'Correct [components] in the policy: both systems agree on another amount.'
                end
        else 'Compare the refund, the Return and the order, and decide which is right.'
    end as next_step,
    json_object(
        'source', happy_returns_source, 'refund_ids', reported_rows.refund_ids, 'centra', centra_source, 'rule', expected_source,
        'expected', expected::varchar, 'happy_returns', happy_returns::varchar, 'centra_amount', centra::varchar,
        'provider', provider::varchar
    ) as evidence
from deviating_verdicts
left join sources
    on sources.return_id is not distinct from deviating_verdicts.return_id
        and sources.order_number = deviating_verdicts.order_number
        and sources.component = deviating_verdicts.component and sources.currency = deviating_verdicts.currency
left join
    reported_rows
    on reported_rows.return_id is not distinct from deviating_verdicts.return_id
        and reported_rows.order_number = deviating_verdicts.order_number
left join
    repeated_claims
    on repeated_claims.return_id = deviating_verdicts.return_id and repeated_claims.order_number = deviating_verdicts.order_number;
