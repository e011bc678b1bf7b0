-- makes: cost_taxes, with_tax_added, reported_with_tax
-- kind:  step
-- grain: one row per return on an order whose tax Centra adds or deducts: its costs, and their tax

-- One row per return on an order: its costs before tax, and the tax that Centra adds to them: as its Returns show it, until
-- then as it is estimated. Only where Centra adds or deducts tax.
create or replace temp table cost_taxes as
with
shown_costs as (
    select
        return_id,
        order_number,
        sum(shipping_kept) as shipping,
        sum(shipping_added) as shipping_tax,
        sum(fee_kept) as fee,
        sum(fee_added) as fee_tax
    from return_costs where return_id is not null
    group by all
),

sales as (
    select
        return_id, order_number, any_value(tax_mode) as tax_mode, sum(unit_price - voucher_share) as value,
        sum(unit_tax_added - voucher_tax_added) as tax_added
    from known_units
    where tax_mode in ('added', 'none')
    group by all
)

select
    sales.return_id, sales.order_number, sales.tax_mode,
    case
        when coalesce(shown_costs.shipping, 0) > 0 then shown_costs.shipping else orders.shipping + orders.handling
    end::decimal(
        18, 4
    ) as shipping,
    case
        when coalesce(shown_costs.shipping, 0) > 0 then shown_costs.shipping_tax else orders.shipping_tax_added
    end::decimal(
        18, 4
    ) as shipping_tax,
    case when coalesce(shown_costs.fee, 0) > 0 then shown_costs.fee else sales.value - sales.tax_added end::decimal(
        18, 4
    ) as fee,
    case
        when coalesce(shown_costs.fee, 0) > 0 then shown_costs.fee_tax
        when sales.tax_mode = 'added' and parameters.return_cost_is_taxed then sales.tax_added
        else 0
    end::decimal(18, 4) as fee_tax,
    parameters.reported_costs
from sales
cross join policy.parameters
join staging.orders as orders using (order_number)
left join shown_costs using (return_id, order_number);

-- What a cost that Happy Returns reports is with tax; and one that our policy names.
create or replace temp macro with_tax_added(kept, added, whole, currency) as
(kept + added_to_part(coalesce(added, 0), kept, whole, currency))::decimal(18, 4);
create or replace temp macro reported_with_tax(told, added, whole, reported_costs, currency) as
case
    when coalesce(added, 0) <= 0 or reported_costs = 'with_tax' then told else
        with_tax_added(told, added, whole, currency)
end
::decimal(18, 4);
