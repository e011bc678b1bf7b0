-- changes: findings
-- kind:  exception
-- grain: one row per unit that was put back into stock twice
-- exception:    double_restock
-- subject:      stock
-- owner:        warehouse
-- window_hours: 0
-- precedence:   41
-- severity:     error
-- family:       stock_gaps
-- opens:        The unit was put back into stock twice: by our stock change and by an external Return with
--               *return to stock*.
-- closes:       Centra shows the unit put back once.

-- One row per unit that we put back, and that an external Return had put back too.
insert into findings by name
with
-- Few external Returns put anything back: the keys of our movements are made for those alone.
manual_restocks as materialized (
    select
        units.return_item_id,
        units.return_id,
        units.order_number,
        units.sku,
        units.currency,
        units.unit_price,
        units.evidence,
        returns.centra_return_id, returns.created_at, returns.made_by
    from (
        select centra_return_id, created_at, made_by
        from staging.centra_returns
        where deleted_at is null and returned_to_stock
    ) as returns
    join matching.matched_items as matched on matched.foreign_centra_return_id = returns.centra_return_id
    join known_units as units on units.return_item_id = matched.return_item_id
    semi join matching.orders_in_play on orders_in_play.order_number = units.order_number
)

select
    'double_restock' as kind, 'stock' as subject, 'Return ' || units.centra_return_id as identity,
    'fix_centra' as class, 'data_gap' as cause, units.made_by as culprit,
    units.return_id, units.return_item_id, units.order_number, units.sku, units.currency, units.unit_price as amount,
    units.created_at as fact_at,
    'Return '
    || units.centra_return_id
    || ', made by '
    || maker_text(units.made_by)
    || ', put the unit back into stock, and so did hr-centra (stock change '
    || changes.stock_change_id || ')' as detail,
    'Count the article and take one piece out again in Centra.' as next_step,
    json_merge_patch(
        units.evidence,
        json_object('centra_return_id', units.centra_return_id, 'stock_change_id', changes.stock_change_id)
    ) as evidence
from manual_restocks as units
join
    push.ledger
    on ledger.effect_key = effect_key('inventory_adjustment', [units.return_item_id, '1'])
        and ledger.state = 'confirmed'
join (
    select stock_change_id, bool_and(quantity > 0) as is_in from staging.stock_changes group by stock_change_id
) as changes on changes.stock_change_id::varchar = ledger.centra_id
where changes.is_in;

-- One row per movement that we made and that is in two stock changes.
insert into findings by name
select 'double_restock' as kind, 'stock' as subject, * exclude (place)
from repeated_effects
where place = 'stock_change';

-- closing
insert into proofs by name
select
    exception_id,
    coalesce(
        effect_proof,
        answer_proof,
        case
            when order_number in (from matching.orders_in_play) then proven_by('given_once', 'Centra shows it given back once')
        end
    ) as proof
from unseen
where kind = 'double_restock';
