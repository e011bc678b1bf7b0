-- makes: reconciliation.refund_match, reconciliation.refund_mismatches, reconciliation.tolerance_uses
-- kind:  table
-- grain: one row per return, order, component and unit of the match, its mismatches and uses of the tolerance

-- What is kept of the match: every key with its figures, the mismatches, and each use of the tolerance.

-- One row per return on an order: what its compared units have in common, for anyone who looks for a rule behind differences.
create or replace temp table traits as
select
    units.return_id, units.order_number,
    case when count(distinct units.tax_percent) = 1 then min(units.tax_percent) end as tax_percent,
    case when count(distinct discounted.discount_percent) = 1 then min(discounted.discount_percent) end
        as discount_percent,
    bool_or(units.voucher_share > 0) as has_voucher
from known_units as units
semi join compared_units using (return_item_id)
join (
    select
        order_line_id,
        -- to the nearest whole percent: prices are rounded
        (
            (2 * 100 * ten_thousandths(unit_original_price - unit_price) + ten_thousandths(unit_original_price))
            // nullif(2 * ten_thousandths(unit_original_price), 0)
        )::decimal(18, 4) as discount_percent
    from staging.order_lines
    semi join money_orders using (order_number)
) as discounted using (order_line_id)
group by all;

-- One row per return, order, component and currency: by which rule of the policy that is expected. Goods and tax are what Centra sold.
create or replace temp table policy_rules as
select return_id, order_number, component, currency, any_value(source) as source
from reconciliation.refund_facts
semi join money_orders using (order_number)
where side = 'expected' and component not in ('items', 'tax')
group by all;

-- One row per return on an order of which everything was due before the cut-over.
create or replace temp table early_returns as
select return_id, order_number
from known_units
cross join policy.parameters
group by return_id, order_number
having bool_and(is_after_cutover is false and coalesce(credit_due_at < parameters.cutover, true));

delete from reconciliation.refund_match where order_number in (select order_number from money_orders);
insert into reconciliation.refund_match by name
select
    sides.return_id, sides.order_number, sides.component, sides.currency,
    sides.expected as expected_amount,
    sides.happy_returns as happy_returns_amount,
    sides.centra as centra_amount,
    sides.provider as provider_amount,
    sides.happy_returns - sides.centra as difference,
    verdicts.component is not null as is_compared,
    coalesce(abs(verdicts.distance), 0) as deviation,
    case when verdicts.distance <> 0 then verdicts.culprit end as culprit,
    coalesce(verdicts.is_within_tolerance, false) as within_tolerance,
    verdicts.allowed as allowed_difference,
    case when verdicts.is_within_tolerance then verdicts.spread else 0 end as tolerance_used,
    explained_by is not null as is_explained,
    explained_by,
    case sides.component
        when 'items' then 'what Centra sold, net of discount and voucher, without tax'
        when 'tax' then 'the tax in what Centra sold'
        when 'exchange' then 'settled outside Centra: ' || coalesce(rules.source, 'no price difference is reported')
        else coalesce(rules.source, 'the policy gives none')
    end as rule,
    case when verdicts.component is not null then traits.tax_percent end as tax_percent,
    case when verdicts.component is not null then traits.discount_percent end as discount_percent,
    case when verdicts.component is not null then traits.has_voucher end as has_voucher,
    sides.expected_at, sides.happy_returns_at, sides.centra_at, sides.provider_at
from (
    select
        four_sides.*,
        case
            when (happy_returns is not distinct from centra)
                and (coalesce(provider, centra) is not distinct from centra)
                and date_trunc('month', least(happy_returns_at, centra_at, provider_at))
                <> date_trunc('month', greatest(happy_returns_at, centra_at, provider_at)) then 'other_month'
            -- Nobody acts on a return of before the cut-over, and no exception is opened for what was due before it. Where
            -- both sides report it, they are compared all the same.
            when early.return_id is not null
                and (four_sides.return_id, four_sides.order_number, four_sides.component, four_sides.currency) not in (
                    select (return_id, order_number, component, currency) from verdicts
                    where distance <> 0 and not is_within_tolerance and return_id is not null
                ) then 'before_cutover'
            when (happy_returns is not distinct from centra) then null
            -- The difference of an exchange is settled outside Centra; Centra shows what was paid instead of the goods.
            when component = 'exchange'
                then case
                        when coalesce(happy_returns, 0) <> coalesce(expected, 0)
                            or coalesce(centra, 0) <> coalesce(money_instead.amount, 0)
                            then null
                        when centra <> 0 then 'given_instead'
                        else 'settled_outside'
                    end
            when is_pending or greatest(
                    -- not reported yet, or not credited yet
                    case
                        when coalesce(happy_returns, 0) = 0 then centra_at + to_hours(parameters.amount_wait_hours::integer + 24)
                    end,
                    case when centra = 0 then happy_returns_at + to_hours(24) end
                ) > $now then 'pending'
        end as explained_by
    from four_sides
    cross join policy.parameters
    left join
        early_returns as early
        on early.return_id = four_sides.return_id and early.order_number = four_sides.order_number
    left join money_instead on money_instead.return_id = four_sides.return_id
        and money_instead.order_number = four_sides.order_number and money_instead.currency = four_sides.currency
) as sides
left join verdicts
    on verdicts.return_id is not distinct from sides.return_id and verdicts.order_number = sides.order_number
        and verdicts.component = sides.component and verdicts.currency = sides.currency
left join
    policy_rules
        as rules
    on rules.return_id is not distinct from sides.return_id and rules.order_number = sides.order_number
        and rules.component = sides.component and rules.currency = sides.currency
left join traits on traits.return_id is not distinct from sides.return_id and traits.order_number = sides.order_number;

delete from reconciliation.refund_mismatches where order_number in (select order_number from money_orders);
insert into reconciliation.refund_mismatches by name
select
    verdicts.return_id, verdicts.order_number, verdicts.component, verdicts.currency,
    verdicts.expected as expected_amount, verdicts.happy_returns as happy_returns_amount, verdicts.centra as centra_amount,
    verdicts.provider as provider_amount, distance as difference,
    verdicts.culprit, rule
from verdicts
join reconciliation.refund_match as matched
    on matched.return_id is not distinct from verdicts.return_id and matched.order_number = verdicts.order_number
        and matched.component = verdicts.component and matched.currency = verdicts.currency
where distance <> 0 and not is_within_tolerance;

delete from reconciliation.tolerance_uses where order_number in (select order_number from money_orders);
insert into reconciliation.tolerance_uses by name
select
    return_id,
    order_number,
    component,
    currency,
    expected as expected_amount,
    happy_returns as happy_returns_amount,
    centra as centra_amount,
    provider as provider_amount, distance as difference, allowed, culprit, coalesce(issued_at, made_at) as happened_at
from verdicts
where distance <> 0 and is_within_tolerance;
