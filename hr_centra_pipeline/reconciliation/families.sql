-- makes: reconciliation.exchange_gaps, reconciliation.orphaned_returns, reconciliation.stalled_returns,
--        reconciliation.stock_gaps, reconciliation.unmapped_dispositions
-- kind:  table
-- grain: one row per open exception of a family of kinds

-- The lists that one team works through: the open exceptions of a family of kinds.
delete from reconciliation.orphaned_returns;
insert into reconciliation.orphaned_returns by name
from reconciliation.exceptions
where kind in (select kind from policy.exception_kinds where family = 'orphaned_returns');

delete from reconciliation.stock_gaps;
insert into reconciliation.stock_gaps by name
from reconciliation.exceptions
where kind in (select kind from policy.exception_kinds where family = 'stock_gaps');

delete from reconciliation.exchange_gaps;
insert into reconciliation.exchange_gaps by name
from reconciliation.exceptions
where kind in (select kind from policy.exception_kinds where family = 'exchange_gaps');

delete from reconciliation.stalled_returns;
insert into reconciliation.stalled_returns by name
from reconciliation.exceptions
where kind in (select kind from policy.exception_kinds where family = 'stalled_returns');

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
