-- makes: reconciliation.refund_facts
-- kind:  table
-- grain: one row per side, unit and component: what the side says was given back

-- What each side says was given back, unit by unit and component by component; that of the payment providers comes with the payouts.
-- Whatever a side reports for several units is allocated by `part_of`, in the order of their ids, so that the parts sum back to it.
delete from reconciliation.refund_facts where order_number in (select order_number from money_orders);
insert into reconciliation.refund_facts by name
from centra_facts
union all by name
from expected_facts
union all by name
from reported_facts
union all by name
from fresh_facts;
