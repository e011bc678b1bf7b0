-- makes: reconciliation.exchange_gaps, reconciliation.orphaned_returns, reconciliation.stalled_returns,
--        reconciliation.stock_gaps, reconciliation.unmapped_dispositions
-- kind:  table
-- grain: one row per open exception of a family of kinds

-- The lists that one team works through: the open exceptions of a family of kinds.
delete from reconciliation.orphaned_returns;
insert into reconciliation.orphaned_returns by name
from reconciliation.exceptions
where kind in (
        'return_without_order', 'item_without_shipment_line', 'return_without_credit_note', 'status_not_updated',
        'centra_return_without_return',
        'credit_note_without_refund',
        'refund_without_credit_note',
        'promised_item_refused',
        'corrected_after_credit'
    );

delete from reconciliation.stock_gaps;
insert into reconciliation.stock_gaps by name
from reconciliation.exceptions
where kind in (
        'return_without_stock_movement',
        'unmapped_disposition',
        'double_restock',
        'stock_change_without_return',
        'corrected_after_restock'
    );

delete from reconciliation.exchange_gaps;
insert into reconciliation.exchange_gaps by name
from reconciliation.exceptions
where kind in (
        'exchange_without_order', 'exchange_refused', 'exchange_differs', 'exchange_canceled', 'exchange_not_shipped'
    );

delete from reconciliation.stalled_returns;
insert into reconciliation.stalled_returns by name
from reconciliation.exceptions
where kind in ('stalled_return', 'disposition_missing');

delete from reconciliation.unmapped_dispositions;
insert into reconciliation.unmapped_dispositions by name
select
    disposition,
    count(*) as units,
    min(disposition_at) as first_seen_at,
    arg_min(return_id, disposition_at) as example_return_id
from staging.return_items
semi join (select return_item_id from effects.units where not is_mapped) as unmapped using (return_item_id)
group by disposition;
