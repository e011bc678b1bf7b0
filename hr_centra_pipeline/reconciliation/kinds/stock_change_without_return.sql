-- changes: findings
-- kind:  exception
-- grain: one row per stock change that is called a customer return and names no return
-- exception:    stock_change_without_return
-- subject:      goods
-- owner:        warehouse
-- window_hours: 72
-- precedence:   137
-- severity:     warning
-- family:       stock_gaps
-- counterpart:  return_at_happy_returns
-- opens:        Goods were booked into stock as a customer return, and no return is reported.
-- closes:       a return or order that the text names is reported.

-- Somebody booked a customer return that Happy Returns knows nothing of.
insert into findings by name
select
    'stock_change_without_return' as kind,
    'goods' as subject,
    'Stock change ' || stock_change_id as identity,
    'fix_centra' as class,
    'data_gap' as cause,
    case when by_person then 'person' else 'unknown' end as culprit,
    sku,
    created_at as fact_at,
    'Stock change ' || stock_change_id || ' puts ' || units_text(units)
    || ' back as a customer return, and no return is reported' as detail,
    'Ask who booked it: find its return, or take the goods out again. A text that names the return''s express code or '
    || 'number is tied to it.'
        as next_step,
    json_object('stock_change_id', stock_change_id, 'named', named) as evidence
from customer_returns
anti join named_stock_changes using (stock_change_id);

-- closing
insert into proofs by name
select
    unseen.exception_id,
    proven_by('named', 'the stock change names a return that is reported') as proof
from unseen
semi join named_stock_changes as named on 'Stock change ' || named.stock_change_id = unseen.identity
where unseen.kind = 'stock_change_without_return';
