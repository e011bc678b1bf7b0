-- makes: compared_units, money_instead, four_sides, verdicts
-- kind:  step
-- grain: one row per unit and component: the four sides, and who deviates

-- The four sides next to each other, and who deviates. A difference is anybody's mistake only where the sides report the
-- same units; until then the missing credit or refund is what is wrong, and that is a kind of its own.

-- One row: what was ever read. A side that was never read says nothing, not zero.
create or replace temp table sides_read as
select
    exists (from landing.files where kind = 'refunds' and problem is null) as happy_returns,
    exists (from landing.centra_pulls where "object" = 'returns' and is_complete) as centra;

-- One row per unit whose money was given back in Centra, with on how many Returns. One that is of another order by now than the
-- one that it was credited on has its exception: what the sides report on either order is not of the same goods.
create or replace temp table credited_units as
select credited.return_item_id, count(*) as returns
from (
    select return_item_id, order_number, centra_return_id
    from return_pieces
    where return_item_id is not null and not is_exchange
    union
    select return_item_id, order_number, null from fresh_facts where component = 'items'
) as credited
join staging.return_items as items using (return_item_id)
group by credited.return_item_id
having bool_and(credited.order_number = items.order_number);

-- One row per refund row of which every unit is credited: only then both sides report the same goods. A row that pays no unit
-- (another row has paid it) counts as soon as all units of its return on that order are credited. What is reported in another
-- currency than the order's is a mistake of its own, and not compared.
create or replace temp table compared_rows as
with
credited_returns as (
    select units.return_id, units.order_number
    from known_units as units
    left join credited_units as credited using (return_item_id)
    where units.refund_type <> 'exchange'
    group by all
    having count(*) = count(credited.return_item_id) and max(credited.returns) = 1
)

select refunds.refund_id, refunds.return_id, refunds.order_number, refunds.currency, refunds.issued_at
from staging.refunds
semi join money_orders using (order_number)
semi join staging.orders as orders on orders.order_number = refunds.order_number and orders.currency = refunds.currency
left join staging.refund_units as units using (refund_id)
left join credited_units as credited using (return_item_id)
left join
    credited_returns as returns
    on returns.return_id = refunds.return_id and returns.order_number = refunds.order_number
where refunds.status = 'issued' and refunds.refund_type <> 'exchange'
group by all
having case
        when count(units.return_item_id) = 0 then bool_and(returns.return_id is not null)
        else count(*) = count(credited.return_item_id) and max(credited.returns) = 1 -- credited twice is a kind of its own
    end;

create or replace temp table compared_pairs as
select
    rows_.return_id, rows_.order_number, max(issued_at) as issued_at, max(landed.first_landed_at) as landed_at
from compared_rows as rows_
left join (
    select refund_id, min(landed_at) as first_landed_at from landing.happy_returns_refunds
    semi join money_orders using (order_number)
    group by refund_id
) as landed using (refund_id)
group by all;

-- Facts that are compared: of the units that both sides know; what belongs to the whole return counts with them.
create or replace temp table compared_units as
select return_item_id from staging.refund_units semi join compared_rows using (refund_id)
union
-- A row that pays no unit is about those of its return.
select units.return_item_id
from known_units as units
semi join (
    select return_id, order_number from compared_rows
    anti join staging.refund_units using (refund_id)
) as without_units using (return_id, order_number)
where units.refund_type <> 'exchange';

-- One row per return, order, component and currency with the sums of each side: of all facts, and of those compared.
create or replace temp table sides as
with
facts as (
    select
        facts.*,
        case
            when facts.component = 'exchange' then true
            when facts.return_item_id is not null then units.return_item_id is not null
            when facts.side = 'happy_returns' then list_contains(compared.sources, facts.source)
            else compared.return_id is not null
        end as is_compared
    from reconciliation.refund_facts as facts
    semi join money_orders using (order_number)
    left join compared_units as units using (return_item_id)
    left join (
        select return_id, order_number, list(source_file || ':' || source_line) as sources
        from compared_rows
        join (select refund_id, source_file, source_line from staging.refunds) as row_places using (refund_id)
        group by all
    ) as compared on compared.return_id = facts.return_id and compared.order_number = facts.order_number
)

select
    return_id, order_number, component, currency,
    sum(amount) filter (where side = 'expected') as expected,
    sum(amount) filter (where side = 'happy_returns') as happy_returns,
    sum(amount) filter (where side = 'centra') as centra,
    sum(amount) filter (where side = 'provider') as provider,
    -- Nearly all are compared: what is not is taken off.
    expected - coalesce(sum(amount) filter (where not is_compared and side = 'expected'), 0) as expected_compared,
    happy_returns
    - coalesce(sum(amount) filter (where not is_compared and side = 'happy_returns'), 0) as happy_returns_compared,
    centra - coalesce(sum(amount) filter (where not is_compared and side = 'centra'), 0) as centra_compared,
    provider - coalesce(sum(amount) filter (where not is_compared and side = 'provider'), 0) as provider_compared,
    max(happened_at) filter (where side = 'expected') as expected_at,
    max(happened_at) filter (where side = 'happy_returns') as happy_returns_at,
    max(happened_at) filter (where side = 'centra') as centra_at,
    max(happened_at) filter (where side = 'provider') as provider_at,
    coalesce(bool_or(is_pending), false) as is_pending
from facts
group by return_id, order_number, component, currency;

-- One row per return on an order: what a Happy Returns row of it does not report.
create or replace temp table report_gaps as
select
    return_id, order_number, currency,
    bool_or(item_subtotal is null and refund_type <> 'exchange') as misses_items,
    bool_or(tax is null and refund_type <> 'exchange') as misses_tax,
    bool_or(shipping_refund is null and refund_type <> 'exchange') as misses_shipping,
    bool_or(processing_fee is null and refund_type <> 'exchange') as misses_fee
from staging.refunds
semi join money_orders using (order_number)
where status in ('issued', 'pending')
group by all;

-- Who made the Returns of a return on an order that are not ours (unknown: several), and when the last one was made.
create or replace temp table returns_made as
select
    pieces.return_id, pieces.order_number, bool_or(pieces.is_foreign) as is_partly_foreign,
    case when count(distinct returns.made_by) filter (where pieces.is_foreign) = 1
            then min(returns.made_by) filter (where pieces.is_foreign)
        else 'unknown'
    end as made_by,
    max(states.created_at) as made_at
from return_pieces as pieces
join return_states as states using (centra_return_id)
join staging.centra_returns as returns using (centra_return_id)
where pieces.return_id is not null
group by all;

-- One row per return on an order: the money that was given in Centra instead of replacements.
create or replace temp table money_instead as
select return_id, order_number, currency, sum(amount) as amount
from reconciliation.refund_facts
semi join money_orders using (order_number)
semi join (
    select return_item_id from effects.value_given_back where is_paid_instead and exchange = 0
) as paid using (return_item_id)
where side = 'centra' and component = 'exchange'
group by all;

-- One row per return, order, component and currency with the figures that are compared (where they are, else all of them).
create or replace temp table four_sides as
with
-- One row per return, order, component and currency, with what the other tables say of it.
filled_sides as (
    select
        sides.*,
        -- what is reported in another currency is reported of that one's row
        (
            (compared.return_id is not null and gaps.return_id is not null) or component = 'exchange'
        ) and sides.currency = coalesce(orders.currency, sides.currency) as has_compared_units,
        case when component = 'items' then gaps.misses_items when component = 'tax' then gaps.misses_tax
            when component = 'shipping' then gaps.misses_shipping when component = 'fee' then gaps.misses_fee else false
        end as is_not_told,
        -- of an order or article that nobody knows the policy says nothing
        sides.return_id is null or known.return_id is not null as is_known,
        compared.issued_at, compared.landed_at, made.is_partly_foreign, made.made_by, made.made_at
    from sides
    left join compared_pairs as compared using (return_id, order_number)
    left join report_gaps as gaps using (return_id, order_number, currency)
    left join (select distinct return_id, order_number from known_units) as known using (return_id, order_number)
    left join returns_made as made using (return_id, order_number)
    left join (select order_number, currency from staging.orders) as orders on orders.order_number = sides.order_number
)

select
    * exclude (
        happy_returns,
        centra,
        expected,
        provider,
        happy_returns_compared,
        centra_compared,
        expected_compared,
        provider_compared
    ),
    case when (component <> 'exchange' and is_known) or expected is not null then coalesce(expected, 0) end as expected,
    case when sides_read.happy_returns and not coalesce(is_not_told, false) then coalesce(filled_sides.happy_returns, 0) end
        as happy_returns,
    case when sides_read.centra then coalesce(filled_sides.centra, 0) end as centra,
    case when component <> 'exchange' or expected_compared is not null then coalesce(expected_compared, 0) end
        as expected_compared,
    case when not coalesce(is_not_told, false) then coalesce(happy_returns_compared, 0) end as happy_returns_compared,
    case when component <> 'exchange' then coalesce(centra_compared, 0) end as centra_compared,
    -- one line of the provider pays all components
    coalesce(filled_sides.provider, case when provider_keys.order_number is not null and component <> 'exchange' then 0 end)
        as provider,
    coalesce(provider_compared, case when provider_keys.order_number is not null and component <> 'exchange' then 0 end)
        as provider_compared
from filled_sides
cross join sides_read
left join (
    select distinct return_id, order_number from reconciliation.refund_facts semi join money_orders using (order_number)
    where side = 'provider'
) as provider_keys
    on provider_keys.return_id is not distinct from filled_sides.return_id
        and provider_keys.order_number = filled_sides.order_number;

-- Which side deviates (`external`: a Return that is not ours), and whose doing that is. `agree` counts as equal what differs by
-- nothing; the tolerance is looked at afterwards.
create or replace temp table verdicts as
with
-- Those rows of which units are compared, with what is compared of each side.
compared_sides as (
    select
        sides.* exclude (expected, happy_returns, centra, provider),
        expected_compared as expected, happy_returns_compared as happy_returns, centra_compared as centra,
        provider_compared as provider,
        (component in ('shipping', 'fee') and landed_at > made_at) as is_late_row,
        coalesce(not is_partly_foreign, true) as is_ours,
        parameters.shipping_rule, parameters.shipping_source
    from four_sides as sides
    cross join policy.parameters
    where has_compared_units and (component <> 'exchange' or expected_compared is not null)
),

-- The same rows, with who deviates.
judged_sides as (
    select
        *,
        case
            when happy_returns is null and (centra is not distinct from expected) then null
            when happy_returns is null then case when is_ours then 'centra' else 'external' end
            when component = 'exchange' then case when happy_returns <> expected then 'happy_returns' end
            when happy_returns = centra and happy_returns = expected then case when provider <> centra then 'provider' end
            -- the setting decides what shipping is credited: a row that reports otherwise deviates, whenever it came
            when component = 'shipping' and expected = centra then 'happy_returns'
            -- the row came when the credit had been made already
            when
                component in ('shipping', 'fee')
                and is_late_row
                and is_ours
                and happy_returns <> centra
                and shipping_rule <> 'never'
                then 'policy'
            when expected = centra then 'happy_returns'
            when expected = happy_returns and not is_ours then 'external'
            when expected = happy_returns and component in ('items', 'tax') then 'centra'
            when expected = happy_returns then 'pipeline'
            -- our own credit was written from the row, so that the two are one opinion
            when happy_returns = centra and is_ours and component in ('shipping', 'fee') then 'happy_returns'
            when happy_returns = centra then 'policy'
            else 'unknown'
        end as deviates
    from compared_sides
),

-- The same rows, with by how much.
measured_sides as (
    select
        *,
        case
            when deviates is null then 0
            when deviates = 'provider' then provider - centra
            when deviates in ('centra', 'external', 'pipeline') then centra - expected
            when deviates = 'policy' and is_late_row then happy_returns - centra
            when deviates = 'policy' then expected - happy_returns
            when deviates = 'happy_returns' and expected = centra then happy_returns - centra
            when deviates = 'happy_returns' then happy_returns - expected
            else happy_returns - centra
        end as distance,
        -- The worst difference of any two sides is what the tolerance has to cover. A provider's is a kind of its own.
        greatest(expected, happy_returns, centra, provider) - least(expected, happy_returns, centra, provider) as worst,
        case
            when
                (deviates is distinct from 'provider')
                then greatest(expected, happy_returns, centra) - least(expected, happy_returns, centra)
            else abs(distance)
        end as spread,
        -- Most keys have no difference: what is allowed is worked out where there is one. Less than the currency's smallest
        -- unit can neither be paid nor claimed.
        case when worst <> 0
                then greatest(
                        coalesce(tolerance.absolute, 0),
                        smallest_amount(judged_sides.currency) - 0.0001::decimal(5, 4),
                        coalesce(share_of(
                            greatest(abs(coalesce(happy_returns, centra)), abs(coalesce(centra, happy_returns))),
                            tolerance.percent,
                            100::decimal(18, 4),
                            judged_sides.currency
                        ), 0),
                        case when component = 'tax' or orders.tax_mode = 'none' and component = 'items'
                                then policy.tax_slack(
                                        orders.tax_mode,
                                        greatest(abs(coalesce(expected, centra)), abs(coalesce(centra, happy_returns))),
                                        judged_sides.currency
                                    )
                            else 0
                        end
                    )
            else 0
        end as allowed
    from judged_sides
    left join policy.tolerance as tolerance on tolerance.currency = judged_sides.currency
    left join staging.orders as orders on orders.order_number = judged_sides.order_number
)

select
    return_id, order_number, component, currency, expected, happy_returns, centra, provider, deviates,
    case deviates when 'external' then made_by else deviates end as culprit,
    made_by,
    distance::decimal(18, 4) as distance,
    spread <= allowed as is_within_tolerance, spread::decimal(18, 4) as spread, worst::decimal(18, 4) as worst,
    allowed::decimal(18, 4) as allowed,
    coalesce(issued_at, happy_returns_at) as issued_at,
    made_at,
    landed_at,
    is_late_row,
    is_ours
from measured_sides;
