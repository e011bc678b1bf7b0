-- changes: findings
-- kind:  exception
-- grain: one row per return on an order whose exchange paid out what it ought not
-- exception:    refund_mismatch_exchange
-- subject:      exchange
-- owner:        finance
-- window_hours: 24
-- precedence:   144
-- severity:     warning
-- family:       none
-- component:    exchange
-- opens:        What an exchange paid out is not its price difference: the row contradicts itself
--               (`total_refunded` is not the negative of `price_difference`, or 0), or the prices of both
--               articles in Centra say otherwise.
-- closes:       the row is corrected.

-- One side says something else of it than the others.
insert into findings by name
select 'refund_mismatch_exchange' as kind, component as subject, * exclude (component)
from deviations
where component = 'exchange';

-- closing
insert into proofs by name
select exception_id, coalesce(failure_proof, agreement_proof) as proof
from unseen_mismatches
where kind = 'refund_mismatch_exchange';
