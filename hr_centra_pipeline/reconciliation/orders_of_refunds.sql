-- makes: orders_of_refunds
-- kind:  step
-- grain: one row per order whose refunds are looked at
-- loop:  reconciliation.exceptions: an order with a refund whose credit note was missing is looked at until it is settled

-- One row per order whose refunds are looked at: active ones, and those with a refund without a Return (or with one since the
-- exception was opened) that no return names at all, of which nothing else here would ever be looked at.
create or replace temp table orders_of_refunds as
select order_number from matching.orders_in_play
union
select entries.order_number
from (
    select distinct order_number from staging.payment_entries
    where is_given_back(money) and (
            centra_return_id is null
            or order_number in (
                select order_number from reconciliation.exceptions where kind = 'refund_without_credit_note'
            )
        )
) as entries
anti join staging.return_items using (order_number)
anti join staging.returns using (order_number)
anti join staging.refunds using (order_number)
anti join staging.centra_returns using (order_number);
