-- refund_mismatch_items, _tax, _shipping, _fee and _exchange: a component of which one side says something else than the others.
insert into findings by name
with
told as (
    select return_id, order_number, json_group_array(refund_id) as refund_ids
    from (select return_id, order_number, refund_id from staging.refunds semi join money_orders using (order_number) order by refund_id)
    group by all
),

said as (
    select
        *,
        case component when 'exchange' then h - e else distance end as off,
        concat_ws(
            ', ', 'expected ' || money_text(e, currency), 'Happy Returns ' || money_text(h, currency),
            'Centra ' || money_text(c, currency), 'payment provider ' || money_text(p, currency)
        ) as figures
    from verdicts
    where distance <> 0 and not is_within_tolerance
)

select
    'refund_mismatch_' || component as kind,
    component as subject,
    case culprit when 'happy_returns' then 'fix_happy_returns' when 'centra' then 'fix_centra' when 'person' then 'fix_centra'
        when 'unknown' then 'fix_centra' else 'fix_pipeline' end as class,
    case culprit when 'policy' then 'policy_gap' else 'amount_mismatch' end as cause,
    culprit, said.return_id, said.order_number, currency,
    abs(off) as amount,
    coalesce(issued_at, made_at) as fact_at,
    upper(component[1]) || component[2:] || ': ' || figures || '. ' || case culprit
        when 'happy_returns' then 'Happy Returns deviates by ' || money_text(off, currency)
        when 'person' then 'The Return that somebody made in Centra deviates by ' || money_text(off, currency)
        when 'centra' then 'Centra''s Return deviates from what Centra sold by ' || money_text(off, currency)
        when 'pipeline' then 'Our own credit deviates by ' || money_text(off, currency)
        when 'policy' then case when is_late_row
            then 'Happy Returns'' row came when the credit had been made already: ' || money_text(off, currency) || ' are not settled'
            else 'The policy deviates by ' || money_text(off, currency) end
        else 'Every side says something else' end as detail,
    case culprit
        when 'happy_returns' then 'Compare the refund with the order: correct it at Happy Returns, and settle the difference by hand.'
        when 'person' then 'Ask who made the Return why, and settle the difference by hand.'
        when 'centra' then 'Compare the Return with its order in Centra, and have Centra''s figures corrected.'
        when 'pipeline' then 'Settle the difference by hand, and look in the push attempts why it was left out.'
        when 'policy' then case when is_late_row
            then 'Settle the difference by hand; if it happens often, let components.amount_wait_hours be longer.'
            else 'Correct [components] in the policy: both systems agree on another amount.' end
        else 'Compare the refund, the Return and the order, and decide which is right.' end as next_step,
    json_object(
        'source', happy_returns_source, 'refund_ids', told.refund_ids, 'centra', centra_source, 'rule', expected_source,
        'expected', e::varchar, 'happy_returns', h::varchar, 'centra_amount', c::varchar, 'provider', p::varchar
    ) as evidence
from said
left join told on told.return_id is not distinct from said.return_id and told.order_number = said.order_number;
