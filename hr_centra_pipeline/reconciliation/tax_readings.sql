-- makes: reconciliation.tax_readings
-- kind:  table
-- grain: one row per Return whose tax Centra changed after we had read it

-- What Centra said of a Return's tax at its creation, what was paid by it, and what it said in the end: an engine estimates the
-- tax of a Return and settles it when the Return is completed. Within the policy's limit that is accepted, and recorded here.
delete from reconciliation.tax_readings where order_number in (select order_number from money_orders);

insert into reconciliation.tax_readings by name
with
-- the return that a Return's pieces belong to, where it is one
returns_by_centra_id as (
    select centra_return_id, min(return_id) as return_id
    from return_pieces where return_id is not null
    group by centra_return_id having count(distinct return_id) = 1
),

-- One row per Return that we made and whose tax was read at its creation.
planned_totals as (
    select
        try_cast(centra_id as bigint) as centra_return_id, (payload ->> 'total')::decimal(18, 4) as planned_total,
        (payload ->> 'kept')::decimal(18, 4) as planned_kept,
        (payload ->> 'created_total')::decimal(18, 4) as created_total
    from push.packets
    semi join (
        select distinct packet_key from push.ledger semi join money_orders using (order_number)
    ) as active_packets using (packet_key)
    where operation = 'credit' and state in ('unknown', 'confirmed') and (payload ->> 'tax_mode') in ('added', 'none')
),

readings as (
    select
        returns.centra_return_id, returns_by_centra_id.return_id, returns.order_number, returns.currency,
        returns.packet_key is not null as is_ours,
        planned_totals.planned_total,
        planned_totals.created_total,
        settlements.given as paid,
        settlements.settled,
        case when returns.is_completed and not settlements.is_pending then returns.grand_total end as final_total,
        returns.grand_total - returns.net_total as tax,
        policy.tax_allowed(
            greatest(abs(coalesce(planned_total - planned_kept, 0)), abs(returns.grand_total - returns.net_total)),
            returns.currency
        ) as allowed,
        coalesce(settlements.given_at, returns.created_at) as happened_at
    from staging.centra_returns as returns
    semi join money_orders using (order_number)
    join settled_returns as settlements using (centra_return_id)
    left join returns_by_centra_id using (centra_return_id)
    left join planned_totals using (centra_return_id)
    where returns.deleted_at is null and settlements.tax_mode in ('added', 'none') and returns.net_total is not null
        and returns.centra_return_id not in (select centra_return_id from return_pieces where is_exchange)
),

-- One row per Return that we made, with how far the readings are apart.
reading_differences as (
    select
        *, coalesce(paid, created_total) - planned_total as estimate_difference,
        -- paid twice, or in part, is another trouble
        case when settled = paid then final_total - paid end as settled_difference
    from readings
)

select
    * exclude (settled),
    case
        when final_total is null then 'open'
        when abs(coalesce(settled_difference, 0)) > allowed then 'beyond_limit'
        when coalesce(settled_difference, 0) <> 0 or coalesce(estimate_difference, 0) <> 0 then 'within_limit'
        else 'as_planned'
    end as verdict
from reading_differences;
