-- makes: month_end.goods_in_transit, month_end.goods_in_transit_units, month_end.turnaround,
--        unit_dates
-- kind:  table
-- grain: one row per unit that is under way, or credited, and not in stock again at the cut-off; and their sums

-- Units that are under way, or that were credited, and are not in stock again at the cut-off, from the dates of the units and
-- of what Centra booked. What happened after the cut-off does not count. Returnless units never come back; a unit whose grade
-- means no movement (missing) is over when it is graded.
create or replace temp table unit_dates as
with
-- One row per unit that was put back into stock.
booking_dates as (
    select ledger.return_item_id, min(coalesce(changes.created_at, ledger.updated_at)) as booked_at
    from push.ledger
    left join (
        select stock_change_id::varchar as centra_id, min(created_at) as created_at
        from staging.stock_changes
        group by stock_change_id
    ) as changes using (centra_id)
    where ledger.effect_kind = 'inventory_adjustment' and ledger.state = 'confirmed'
    group by ledger.return_item_id
),

-- One row per unit that we credited.
credit_dates as (
    select ledger.return_item_id, min(returns.created_at) as credited_at
    from push.ledger
    join
        staging.centra_returns as returns
        on returns.centra_return_id::varchar = ledger.centra_id and returns.deleted_at is null
    where ledger.effect_kind = 'credit_note' and ledger.state = 'confirmed'
    group by ledger.return_item_id
),

-- An external Return may have credited the unit, and put it back.
foreign_returns as (
    select
        matched.return_item_id, returns.created_at as credited_at,
        case when returns.returned_to_stock then returns.created_at end as booked_at
    from matching.matched_items as matched
    join staging.centra_returns as returns on returns.centra_return_id = matched.foreign_centra_return_id
    where returns.deleted_at is null
),

-- One row per unit that left a store or hub.
departures as (
    select return_item_id, min(departed_at) as departed_at from staging.return_shipments group by return_item_id
)

select
    items.return_item_id,
    items.return_id,
    items.order_number,
    coalesce(matched.sku, items.sku) as sku,
    matched.currency,
    items.dropoff_method, items.refund_type,
    matched.unit_price - matched.voucher_share as selling_value,
    case
        when is_by_mail(items.dropoff_method) then coalesce(returns.dropped_off_at, items.received_at)
        else items.received_at
    end as handed_over_at,
    case
        when not ends_at_drop_off(items.dropoff_method) then items.received_at
    end as at_bar_at,
    items.hub_received_at, departures.departed_at,
    in_warehouse_at(
        ends_at_drop_off(items.dropoff_method),
        items.received_at,
        items.warehouse_received_at
    ) as arrived_at,
    least(credit_dates.credited_at, foreign_returns.credited_at) as credited_at,
    least(booking_dates.booked_at, foreign_returns.booked_at) as booked_at,
    case
        when grades.stock = 'none' or (units.is_after_cutover is false and items.disposition_at < parameters.cutover)
            then items.disposition_at
    end as over_at
from staging.return_items as items
cross join policy.parameters
left join (select return_item_id, is_after_cutover from effects.units) as units using (return_item_id)
left join staging.returns as returns using (return_id, order_number)
left join matching.matched_items as matched using (return_item_id)
left join booking_dates using (return_item_id)
left join credit_dates using (return_item_id)
left join foreign_returns using (return_item_id)
left join departures using (return_item_id)
left join policy.dispositions as grades using (disposition)
where not is_returnless(items.received_channel, items.dropoff_method);

delete from month_end.goods_in_transit_units where month = (select month from report_period);
insert into month_end.goods_in_transit_units by name
with
-- One row per unit that is under way, or credited, and not in stock at the cut-off.
units_under_way as (
    select
        unit_dates.*, report_period.month, report_period.cut_off,
        least(handed_over_at, credited_at) as since
    from unit_dates
    cross join report_period
    where least(handed_over_at, credited_at) < cut_off
        and (booked_at is null or booked_at >= cut_off)
        and (over_at is null or over_at >= cut_off)
)

select
    units_under_way.month,
    return_item_id,
    return_id,
    order_number,
    units_under_way.sku,
    units_under_way.currency,
    selling_value,
    since,
    case when credited_at < cut_off then credited_at end as credited_at,
    case
        when arrived_at < cut_off then 'arrived_not_booked'
        when departed_at < cut_off then 'outbound'
        when hub_received_at < cut_off then 'at_hub'
        when at_bar_at < cut_off then 'at_bar'
        when handed_over_at < cut_off then 'on_its_way'
        else 'not_handed_over'
    end as stage,
    greatest(date_diff('minute', since, cut_off) // 1440, 0) as age_days,
    age_bucket_of(age_days) as age_bucket,
    costs.unit_cost as cost
from units_under_way
left join unit_costs as costs on costs.sku = units_under_way.sku and costs.currency = units_under_way.currency;

delete from month_end.goods_in_transit where month = (select month from report_period);
insert into month_end.goods_in_transit by name
select
    month,
    stage,
    age_bucket,
    currency,
    count(*) as units,
    coalesce(sum(selling_value), 0) as selling_value,
    sum(cost) as cost,
    count(*) filter (where cost is null) as units_without_cost,
    count(*) filter (where credited_at is not null and stage <> 'arrived_not_booked') as refunded_units,
    coalesce(sum(selling_value) filter (where credited_at is not null and stage <> 'arrived_not_booked'), 0)
        as refunded_value,
    min(since) as oldest_at
from month_end.goods_in_transit_units
where month = (select month from report_period)
group by month, stage, age_bucket, currency;

-- How long it took the units whose refund, or whose restock, came in the month.
delete from month_end.turnaround where month = (select month from report_period);
insert into month_end.turnaround by name
with
-- One row per unit and stretch of its way, ended or not.
stretches as (
    select
        coalesce(dropoff_method, 'unknown') as dropoff_method,
        'refund' as stretch,
        handed_over_at,
        credited_at as ended_at
    from unit_dates
    union all
    select
        coalesce(dropoff_method, 'unknown') as dropoff_method,
        'restock' as stretch,
        handed_over_at,
        booked_at as ended_at
    from unit_dates
)

select
    report_period.month, dropoff_method, stretch, count(*) as units,
    quantile_disc(greatest(date_diff('minute', handed_over_at, ended_at) // 60, 0), 0.5) as median_hours,
    quantile_disc(greatest(date_diff('minute', handed_over_at, ended_at) // 60, 0), 0.9) as p90_hours
from stretches
join report_period on strftime(ended_at, '%Y-%m') = report_period.month and ended_at < report_period.cut_off
where handed_over_at is not null
group by report_period.month, dropoff_method, stretch;
