-- changes: findings
-- kind:  exception
-- grain: one row per return on an order whose tax differs, and per Return whose tax was settled farther off than allowed
-- exception:    refund_mismatch_tax
-- subject:      tax, settled_tax
-- owner:        finance
-- window_hours: 24
-- precedence:   141
-- severity:     warning
-- family:       none
-- component:    tax
-- opens:        The same for the tax of the units.
-- closes:       the sides agree within the tolerance, or the policy allows the difference.

-- One side says something else of it than the others.
insert into findings by name
select 'refund_mismatch_tax' as kind, component as subject, * exclude (component)
from deviations
where component = 'tax';

-- What Centra settled in the end is farther from what was paid than the policy allows.
insert into findings by name
select
    'refund_mismatch_tax' as kind,
    'settled_tax' as subject,
    'Return ' || centra_return_id as identity,
    'fix_centra' as class,
    'amount_mismatch' as cause,
    'centra' as culprit,
    return_id, order_number, currency,
    abs(settled_difference) as amount,
    happened_at as fact_at,
    'Return ' || centra_return_id || ' was paid with ' || money_text(paid, currency) || ', and its final total is '
    || money_text(final_total, currency)
    || ': the tax engine settled it '
    || money_text(abs(settled_difference), currency)
    || ' off, ' || money_text(allowed, currency) || ' are allowed' as detail,
    'Find out which tax the engine filed for the Return, and settle the difference by hand; [tax] in the policy says what '
    || 'may differ.'
        as next_step,
    json_object(
        'centra_return_id', centra_return_id, 'planned', planned_total::varchar, 'created', created_total::varchar,
        'paid', paid::varchar, 'final', final_total::varchar, 'allowed', allowed::varchar
    ) as evidence
from reconciliation.tax_readings
semi join money_orders using (order_number)
where verdict = 'beyond_limit';

-- closing
insert into proofs by name
select
    exception_id,
    coalesce(
        failure_proof,
        case
            when subject = 'settled_tax'
                then (
                    select proven_by('within_limit', 'what was paid and Centra''s final total are within the limit')
                    from reconciliation.tax_readings as readings
                    where 'Return ' || readings.centra_return_id = unseen_mismatches.identity
                        and readings.verdict in ('as_planned', 'within_limit')
                )
            else agreement_proof
        end
    ) as proof
from unseen_mismatches
where kind = 'refund_mismatch_tax';
