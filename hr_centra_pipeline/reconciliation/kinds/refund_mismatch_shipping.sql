-- changes: findings
-- kind:  exception
-- grain: one row per return on an order whose shipping differs
-- exception:    refund_mismatch_shipping
-- subject:      shipping
-- owner:        finance
-- window_hours: 24
-- precedence:   142
-- severity:     warning
-- family:       none
-- component:    shipping
-- opens:        The shipping cost (with handling) that is given back differs.
-- closes:       the sides agree within the tolerance.

-- One side says something else of it than the others.
insert into findings by name
select 'refund_mismatch_shipping' as kind, component as subject, * exclude (component)
from deviations
where component = 'shipping';

-- closing
insert into proofs by name
select exception_id, coalesce(failure_proof, agreement_proof) as proof
from unseen_mismatches
where kind = 'refund_mismatch_shipping';
