-- makes: staging.centra_returns
-- kind:  table
-- grain: one row per Return

delete from staging.centra_returns where centra_return_id in (select centra_return_id from changed_returns);

insert into staging.centra_returns by name
with
parts as (
    select
        *,
        currency_of(payload -> 'grandTotal') as currency,
        coalesce((
            select sum(lines.line_value) from changed_return_lines as lines
            where lines.centra_return_id = changed_returns.centra_return_id
        ), 0)::decimal(18, 4) as line_values,
        -- Of our own Returns, what the return cost says of a voucher that Centra keeps on another shipment (push/returns.py).
        case when regexp_matches(
                    payload ->> 'comment', '\bPK[A-Z2-7]{13}\b'
                )
                then least(
                        coalesce(try_cast(
                            regexp_extract(
                                payload ->> 'comment', '\bvoucher ([0-9]+(\.[0-9]{1,4})?)\b', 1
                            ) as decimal(
                                18, 4
                            )
                        ), 0),
                        abs(amount(payload -> '$.totals.returnCost'))
                    )
            else 0
        end::decimal(18, 4) as voucher_in_cost,
        abs(amount(payload -> '$.totals.discounts')) + voucher_in_cost as discounts,
        rounded_money(
            (
                tax_by_rules(payload -> '$.totals.discountTaxRules', 'taxIncluded')
                + tax_by_rules(payload -> '$.totals.discountTaxRules', 'taxAdded')
            )::decimal(18, 4
            ),
            currency_of(payload -> 'grandTotal')
        ) as discount_tax
    from changed_returns
),

-- one row per Return and tax rate. Where Centra shows no tax of the voucher, it is shared over the rates by line value, and
-- contains tax as the lines do
tax_by_rate as (
    select
        parts.centra_return_id,
        sum(line.line_tax) - case
            when any_value(discount_tax) <> 0 or any_value(tax_mode) in ('added', 'none') then 0
            else tax_in(
                    coalesce(
                        share_of(
                            any_value(discounts),
                            sum(line.line_value)::decimal(18, 4),
                            any_value(line_values),
                            any_value(currency)
                        ),
                        0
                    ),
                    line.tax_percent,
                    any_value(currency)
                )
        end as tax
    from parts
    inner join changed_return_lines as line using (centra_return_id)
    group by parts.centra_return_id, line.tax_percent
),

-- one row per Return: the tax of its lines, net of the voucher's
taxes as (
    select centra_return_id, sum(tax) as tax from tax_by_rate group by centra_return_id
)

select
    centra_return_id,
    order_number,
    cast(payload ->> '$.shipment.id' as bigint) as shipment_id,
    payload ->> 'returnStatus' as status,
    policy.meaning_of('return_status', payload ->> 'returnStatus') = 'completed' as is_completed,
    payload ->> 'externalId' as external_id,
    nullif(regexp_extract(payload ->> 'comment', '\bPK[A-Z2-7]{13}\b'), '') as packet_key,
    coalesce(keys_in(payload ->> 'comment'), []) as effect_keys,
    words_in(payload ->> 'comment') as express_codes,
    payload ->> 'createdFrom' as created_from,
    case
        when (payload ->> '$.adminUser.id') is not null then 'person'
        else coalesce(policy.meaning_of('return_created_from', payload ->> 'createdFrom'), 'unknown')
    end as made_by,
    cast(payload ->> 'returnedToStock' as boolean) as returned_to_stock,
    cast(payload ->> '$.returnWarehouse.id' as bigint) as warehouse_id,
    currency,
    paid_of(amount(payload -> 'grandTotal'), amount(payload -> 'grandTotalNet'), tax_mode) as grand_total,
    amount(payload -> 'grandTotalNet') as net_total,
    line_values,
    amount(payload -> '$.totals.shipping') as shipping,
    amount(payload -> '$.totals.handling') as handling,
    discounts,
    abs(amount(payload -> '$.totals.returnCost')) - voucher_in_cost as return_cost,
    added_by_rules(payload -> '$.totals.shippingTaxRules')
    + added_by_rules(payload -> '$.totals.handlingTaxRules') as shipping_tax_added,
    added_by_rules(payload -> '$.totals.discountTaxRules') as discount_tax_added,
    added_by_rules(payload -> '$.totals.returnCostTaxRules') as return_cost_tax_added,
    coalesce(tax, 0) - discount_tax as tax,
    created_at,
    fetched_at,
    case when is_deleted then fetched_at end as deleted_at
from parts
left join taxes using (centra_return_id);
