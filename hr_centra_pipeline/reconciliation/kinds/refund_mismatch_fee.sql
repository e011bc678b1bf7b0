-- changes: findings
-- kind:  exception
-- grain: one row per return on an order whose fee differs
-- exception:    refund_mismatch_fee
-- subject:      fee
-- owner:        finance
-- window_hours: 24
-- precedence:   143
-- severity:     warning
-- family:       none
-- component:    fee
-- opens:        The processing fee that is taken off differs from the policy's fee of that drop-off method, or
--               was charged in one system only.
-- closes:       the sides agree within the tolerance.

-- One side says something else of it than the others.
insert into findings by name
select 'refund_mismatch_fee' as kind, component as subject, * exclude (component)
from deviations
where component = 'fee';

-- closing
insert into proofs by name
select exception_id, coalesce(failure_proof, agreement_proof) as proof
from unseen_mismatches
where kind = 'refund_mismatch_fee';
