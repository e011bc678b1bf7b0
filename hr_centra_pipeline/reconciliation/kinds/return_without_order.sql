-- changes: findings
-- kind:  exception
-- grain: one row per return and order that Centra does not have
-- exception:    return_without_order
-- subject:      unit
-- owner:        customer_service
-- window_hours: 24
-- precedence:   20
-- severity:     warning
-- family:       orphaned_returns
-- counterpart:  order
-- opens:        Happy Returns names an order that Centra says it does not have.
-- closes:       Centra answers with the order, or the export names another one.

-- One row per return and order that Centra does not have. Only a negative answer of Centra proves it.
insert into findings by name
with
-- One row per return on an order that Happy Returns has corrected since: all of its units name another one, later.
corrected_orders as (
    select returns.return_id, returns.order_number
    from staging.returns as returns
    inner join staging.return_items as units on units.return_id = returns.return_id
    group by returns.return_id, returns.order_number
    having bool_and(units.order_number <> returns.order_number) and max(units.source_time) > max(returns.source_time)
),

-- One row per return on an order, as it was reported first.
reported_orders as (
    select
        return_id, order_number, min(created_at) as created_at, any_value(source_file) as source_file,
        any_value(source_line) as source_line, min(source_time) as source_time
    from staging.returns
    anti join corrected_orders using (return_id, order_number)
    group by return_id, order_number
    union all by name
    select
        return_id, order_number, min(return_created_at) as created_at, any_value(source_file) as source_file,
        any_value(source_line) as source_line, min(source_time) as source_time
    from staging.return_items
    anti join staging.returns using (return_id, order_number)
    group by return_id, order_number
),

-- One row per return on an order with refunds in one currency.
refund_sums as (
    select return_id, order_number, sum(total_refunded) as amount, min(currency) as currency
    from staging.refunds where status in ('issued', 'pending')
    group by return_id, order_number having count(distinct currency) = 1
)

select
    'return_without_order' as kind,
    'unit' as subject,
    'fix_happy_returns' as class,
    'data_gap' as cause,
    'happy_returns' as culprit,
    reported_orders.return_id,
    reported_orders.order_number,
    refund_sums.currency,
    refund_sums.amount,
    coalesce(created_at, source_time) as fact_at,
    'Centra has no order ' || reported_orders.order_number || ', which return ' || reported_orders.return_id || ' names'
    || case when refund_sums.amount is not null
            then
                '; Happy Returns has refunded ' || money_text(refund_sums.amount, refund_sums.currency)
        else ''
    end as detail,
    'Ask Happy Returns (or the shopper) for the right order number, and have the export corrected.' as next_step,
    json_object('source_file', source_file, 'source_line', source_line) as evidence
from reported_orders
semi join (
    select order_number from landing.centra_absent_orders anti join staging.orders using (order_number)
) as absent_orders using (order_number)
left join refund_sums using (return_id, order_number);

-- closing
insert into proofs by name
select
    unseen.exception_id,
    case
        when orders.order_number is not null then proven_by('order_found', 'Centra has order ' || unseen.order_number)
        when items.order_number is null
            then proven_by('not_named', 'no unit of the return names that order any more')
    end as proof
from unseen
left join staging.orders as orders on orders.order_number = unseen.order_number
left join (select distinct return_id, order_number from staging.return_items) as items
    on items.return_id = unseen.return_id and items.order_number = unseen.order_number
where unseen.kind = 'return_without_order';
