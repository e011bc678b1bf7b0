-- makes: reconciliation.systematic_cents
-- kind:  table
-- grain: one row per group of refunds with small differences of one sign

-- Small differences of one sign that turn up in most refunds of a group are not an accident: one side rounds by another rule.
-- Centra's API shows no discount codes; refunds are grouped by currency, tax rate, the line discount in percent, and whether
-- an order voucher was shared over them.
delete from reconciliation.systematic_cents;
insert into reconciliation.systematic_cents by name
with
-- Up to five of the smallest unit of the currency.
small_differences as (
    select return_id, order_number, component, currency, difference, culprit
    from (
        select * exclude (allowed, happened_at) from reconciliation.tolerance_uses
        union all by name
        select * exclude (rule) from reconciliation.refund_mismatches
    )
    where ten_thousandths(abs(difference)) <= 5 * smallest_unit(currency) and return_id is not null
),

-- One row per compared refund and component.
compared_refunds as (
    select
        matched.component,
        matched.currency,
        matched.tax_percent,
        matched.discount_percent,
        matched.has_voucher,
        matched.return_id,
        coalesce(matched.happy_returns_at, matched.centra_at) as happened_at,
        small_differences.difference,
        small_differences.culprit
    from reconciliation.refund_match as matched
    left join small_differences using (return_id, order_number, component, currency)
    where matched.is_compared and matched.component <> 'exchange'
        and (matched.component, matched.currency) in (select (component, currency) from small_differences)
),

-- From the broadest group to the narrowest.
refund_groups as (
    select
        component, currency, tax_percent, discount_percent, has_voucher,
        grouping(tax_percent) = 0 as by_tax,
        grouping(discount_percent) = 0 as by_discount,
        grouping(has_voucher) = 0 as by_voucher,
        count(*) as compared, count(difference) as off,
        greatest(count(*) filter (where difference > 0), count(*) filter (where difference < 0)) as same_sign,
        mode(difference) as usual_difference, sum(difference) as sum, mode(culprit) as culprit,
        min(happened_at) filter (where difference is not null) as first_at,
        max(happened_at) filter (where difference is not null) as last_at,
        min(return_id) filter (where difference is not null) as example_return_id
    from compared_refunds
    group by grouping sets (
        (component, currency), (component, currency, tax_percent), (component, currency, discount_percent),
        (component, currency, has_voucher), (component, currency, tax_percent, discount_percent),
        (component, currency, tax_percent, has_voucher),
        (component, currency, tax_percent, discount_percent, has_voucher)
    )
),

-- Groups in which most differ, and in one direction.
systematic_groups as (
    select * from refund_groups
    where off >= 5 and same_sign >= 0.9 * off and off >= 0.6 * compared
        and (not by_tax or tax_percent is not null) and (not by_discount or discount_percent is not null)
),

-- What a broader group says already is not said again.
broadest_groups as (
    select * from systematic_groups as narrow
    where not exists (
            from systematic_groups as broad
            where broad.component = narrow.component and broad.currency = narrow.currency
                and broad.by_tax::int + broad.by_discount::int + broad.by_voucher::int
                < narrow.by_tax::int + narrow.by_discount::int + narrow.by_voucher::int
                and (not broad.by_tax or (narrow.by_tax and broad.tax_percent = narrow.tax_percent))
                and (not broad.by_discount or (narrow.by_discount and broad.discount_percent = narrow.discount_percent))
                and (not broad.by_voucher or (narrow.by_voucher and broad.has_voucher = narrow.has_voucher))
        )
)

select
    component,
    currency,
    tax_percent,
    discount_percent,
    has_voucher,
    culprit,
    compared,
    off,
    same_sign,
    usual_difference,
    sum,
    first_at,
    last_at, example_return_id,
    culprit
    || ' is off by '
    || money_text(usual_difference, currency)
    || ' in '
    || component
    || ' on '
    || off
    || ' of '
    || compared
    || ' refunds'
    || case when by_tax then ' at ' || regexp_replace(tax_percent::varchar, '\.?0+$', '') || ' % tax' else '' end
    || case
        when by_discount then ' with ' || regexp_replace(discount_percent::varchar, '\.?0+$', '') || ' % discount'
        else ''
    end
    || case
        when by_voucher and has_voucher then ' with a voucher' when by_voucher then ' without a voucher' else ''
    end as named
from broadest_groups;
