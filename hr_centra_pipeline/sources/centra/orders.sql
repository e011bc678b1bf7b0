-- makes: staging.orders, order_tax_modes
-- kind:  table
-- grain: one row per order

delete from staging.orders where order_number in (select order_number from changed_orders);

insert into staging.orders by name
with
-- one row per changed order: its costs as Centra keeps them, and the tax that Centra adds to all of them together: what its
-- total has beyond its lines
costs as (
    select
        order_number, tax_mode, currency_of(payload -> 'grandTotal') as currency,
        paid_of(amount(payload -> 'grandTotal'), amount(payload -> 'grandTotalNet'), tax_mode) as grand_total,
        amount(payload -> '$.totals.shipping') as shipping,
        amount(payload -> '$.totals.handling') as handling,
        abs(amount(payload -> '$.totals.discounts')) as discounts, -- Centra's sign of it is not documented
        coalesce(lines.line_value, 0) as goods,
        coalesce(lines.line_tax_added, 0) as goods_added
    from changed_orders
    left join (
        select
            order_number,
            sum(line_value)::decimal(18, 4) as line_value,
            sum(line_tax_added)::decimal(18, 4) as line_tax_added
        from changed_order_lines group by order_number
    ) as lines using (order_number)
),

-- A voucher's tax is that of the goods that it is taken off: Centra shows it of Returns only. The rest is the shipping's.
estimates as (
    select
        *, grand_total::decimal(38, 4) - goods - (shipping + handling - discounts) as costs_added,
        coalesce(share_of(goods_added, discounts, goods - goods_added, currency), 0) as discount_added,
        coalesce(share_of(goods_added, shipping + handling, goods - goods_added, currency), 0) as shipping_added
    from costs
),

added_taxes as (
    select
        order_number, shipping, handling, discounts, grand_total,
        (case
            when coalesce(tax_mode, 'included') = 'included' or shipping + handling = 0 then 0
            -- an amount that cannot be the tax of the shipping is something else; shipping is then taxed like the goods
            when abs(costs_added + discount_added) > shipping + handling
                or (costs_added + discount_added) * case tax_mode when 'none' then -1 else 1 end < 0 then shipping_added
            else costs_added + discount_added
        end)::decimal(18, 4) as shipping_tax_added,
        (case when coalesce(tax_mode, 'included') = 'included' or discounts = 0 then 0
            when shipping + handling = 0 then -costs_added
            else discount_added
        end)::decimal(18, 4) as discount_tax_added
    from estimates
)

select
    order_number,
    payload ->> 'id' as order_id,
    payload ->> 'status' as status,
    policy.meaning_of('order_status', payload ->> 'status') = 'cancelled' as is_cancelled,
    cast(payload ->> 'isInternal' as boolean) as is_internal,
    currency_of(payload -> 'grandTotal') as currency,
    payload ->> '$.country.code' as country,
    cast(payload ->> '$.customer.id' as bigint) as customer_id,
    tax_mode,
    added_taxes.grand_total,
    added_taxes.shipping,
    added_taxes.handling,
    added_taxes.discounts,
    added_taxes.shipping_tax_added,
    added_taxes.discount_tax_added,
    -- what its payments say: order_money.sql
    0 as captured,
    0 as capture_pending,
    false as has_unknown_payment,
    cast(payload ->> '$.market.id' as bigint) as market_id,
    cast(payload ->> '$.pricelist.id' as bigint) as pricelist_id,
    nullif(array_to_string(regexp_extract_all(payload ->> 'internalComment', '\[hr-centra [^\]\n]*\]'), chr(10)), '')
        as our_note,
    coalesce(keys_in(payload ->> 'internalComment'), []) as effect_keys,
    nullif(regexp_extract(payload ->> 'internalComment', '\bPK[A-Z2-7]{13}\b'), '') as origin_return_key,
    cast(payload ->> 'createdAt' as timestamptz) as created_at,
    updated_at,
    fetched_at
from changed_orders
join added_taxes using (order_number);

-- One row per order. Shipments are read before the payments of their orders are (order_money.sql), and need this of them.
create or replace temp view order_tax_modes as
select order_number, tax_mode from staging.orders;
