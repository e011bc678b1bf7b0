-- makes: month_end.month_end, month_rows
-- kind:  table
-- grain: one row per month, currency, component and whether it is late

-- One row per month, currency and component, and one more for facts of closed months that turned up late. Compared return by
-- return: a month may tie in its totals and still have returns that do not. The rows behind it are `month_rows`.

-- The pairs that are compared. The provider only when payouts are read, and from then on.
create or replace temp table side_pairs as
select 'happy_returns' as side
union all
select 'expected'
union all
select 'provider' where exists (select 1 from known_facts where side = 'provider');

-- One row per return, order, component, currency, month and whether it is late: what each side says.
create or replace temp table buckets as
select
    return_id, order_number, component, currency, posted_month as month, posted_month > own_month as is_late,
    coalesce(sum(amount) filter (where side = 'centra'), 0) as centra,
    coalesce(sum(amount) filter (where side = 'happy_returns'), 0) as happy_returns,
    coalesce(sum(amount) filter (where side = 'expected'), 0) as expected,
    coalesce(sum(amount) filter (where side = 'provider'), 0) as provider,
    min(happened_at) as since
from known_facts
where side in ('expected', 'happy_returns', 'centra', 'provider')
group by return_id, order_number, component, currency, posted_month, posted_month > own_month;

-- One row of those and pair whose sides differ in that month.
create or replace temp table side_differences as
select
    buckets.* exclude (centra, happy_returns, expected, provider, since), side_pairs.side,
    case side_pairs.side when 'happy_returns' then happy_returns when 'expected' then expected else provider end as told,
    told - centra as difference
from buckets
cross join side_pairs
where told <> centra;

-- The last word of the match about each key, as of then.
create or replace temp table month_verdicts as
select * from month_end.match_journal
where recorded_at <= (select as_of from report_period)
qualify row_number() over (partition by return_id, order_number, component, currency order by run_number desc) = 1;

-- A month's difference is explained as far as other months hold the opposite for the same key, earliest first; what is left
-- stays with the latest months. Of what is left, the match says whether there is a reason.
create or replace temp table netted_differences as
with
running_differences as (
    select
        *,
        sum(greatest(difference, 0)) over upto as more_until, sum(greatest(-difference, 0)) over upto as less_until,
        sum(greatest(difference, 0)) over key as more, sum(greatest(-difference, 0)) over key as less,
        bool_or(told <> 0) over key as is_told
    from side_differences
    window
        key as (partition by side, return_id, order_number, component, currency),
        upto as (partition by side, return_id, order_number, component, currency order by month, is_late)
),

-- One row per key, side and month: what no other month explains.
leftovers as (
    select
        running_differences.*,
        case when difference > 0 then greatest(least(more_until - less, difference), 0)
            else -greatest(least(less_until - more, -difference), 0)
        end as left_over
    from running_differences
)

select
    leftovers.* exclude (more_until, less_until, more, less, told, is_told), month_verdicts.culprit,
    coalesce(month_verdicts.allowed_difference, month_verdicts.tolerance_used, 0) as allowed,
    case
        -- A side that does not know the key at all is not compared: our policy with an order that nobody knows, the provider
        -- with a refund of a day whose payouts are not read.
        when leftovers.side = 'expected' and not is_told and month_verdicts.expected_amount is null then 'not_compared'
        when leftovers.side = 'provider' and not is_told and month_verdicts.provider_amount is null then 'not_compared'
        -- That both vendors agree in another month explains nothing that is left: the policy may still differ from both.
        when left_over = 0 then 'other_month'
        when month_verdicts.explained_by in ('pending', 'before_cutover') then month_verdicts.explained_by
        when leftovers.side <> 'provider' and month_verdicts.explained_by in ('given_instead', 'settled_outside')
            then month_verdicts.explained_by
    end as explained_by
from leftovers
left join month_verdicts on month_verdicts.return_id is not distinct from leftovers.return_id
    and month_verdicts.order_number is not distinct from leftovers.order_number
    and month_verdicts.component = leftovers.component and month_verdicts.currency = leftovers.currency;

-- What no reason explains is judged together: the worst difference of any two sides of a key, over all its months, decides
-- whether the tolerance covers it.
create or replace temp table judged_differences as
with
-- One row per key and side.
side_sums as (
    select
        return_id, order_number, component, currency, side,
        sum(case when explained_by is null then left_over else 0 end) as left_over, max(allowed) as allowed
    from netted_differences group by all
),

keys as (
    select
        return_id,
        order_number,
        component,
        currency,
        greatest(max(left_over), 0) - least(min(left_over), 0) as worst,
        max(allowed) as allowed
    from side_sums group by all
)

select
    netted_differences.*,
    case
        when netted_differences.explained_by is not null then 'explained'
        when keys.worst <= keys.allowed then 'within_tolerance'
        else 'unexplained'
    end as verdict
from netted_differences
join
    keys
    on keys.return_id is not distinct from netted_differences.return_id
        and keys.order_number is not distinct from netted_differences.order_number
        and keys.component = netted_differences.component and keys.currency = netted_differences.currency;

-- One row per bucket: what each side says, and what of each difference to Centra is explained, tolerated and left. All figures of
-- the month are sums of these rows.
create or replace temp table month_rows as
with
-- One row per key, month and lateness: a column per side and verdict.
month_amounts as (
    select
        return_id, order_number, component, currency, month, is_late,
        coalesce(sum(left_over) filter (where side = 'happy_returns' and verdict = 'within_tolerance'), 0)
            as within_tolerance_amount,
        coalesce(sum(left_over) filter (where side = 'happy_returns' and verdict = 'unexplained'), 0)
            as unexplained_amount,
        coalesce(sum(left_over) filter (where side = 'expected' and verdict = 'within_tolerance'), 0)
            as expected_within_tolerance_amount,
        coalesce(sum(left_over) filter (where side = 'expected' and verdict = 'unexplained'), 0)
            as expected_unexplained_amount,
        coalesce(sum(left_over) filter (where side = 'provider' and verdict = 'within_tolerance'), 0)
            as provider_within_tolerance_amount,
        coalesce(sum(left_over) filter (where side = 'provider' and verdict = 'unexplained'), 0)
            as provider_unexplained_amount,
        greatest(max(left_over) filter (where verdict <> 'explained'), 0)
        - least(min(left_over) filter (where verdict <> 'explained'), 0)
            as worst_difference,
        case
            when bool_or(verdict = 'unexplained') then 'unexplained'
            when bool_or(verdict = 'within_tolerance') then 'within_tolerance'
            else 'explained'
        end as verdict,
        -- A reason of the match says more than that another month holds the other side.
        coalesce(
            min(explained_by) filter (where explained_by not in ('other_month', 'not_compared')), min(explained_by)
        ) as explained_by,
        any_value(culprit) as culprit
    from judged_differences group by return_id, order_number, component, currency, month, is_late
)

select
    buckets.return_id, buckets.order_number, buckets.component, buckets.currency, buckets.month, buckets.is_late,
    expected as expected_amount, happy_returns as happy_returns_amount, centra as centra_amount,
    case when has_provider then provider end as provider_amount,
    happy_returns - centra as difference,
    happy_returns - centra - coalesce(within_tolerance_amount, 0) - coalesce(unexplained_amount, 0) as explained_amount,
    coalesce(within_tolerance_amount, 0) as within_tolerance_amount,
    coalesce(unexplained_amount, 0) as unexplained_amount,
    expected - centra as expected_difference,
    expected - centra - coalesce(expected_within_tolerance_amount, 0) - coalesce(expected_unexplained_amount, 0)
        as expected_explained_amount,
    coalesce(expected_within_tolerance_amount, 0) as expected_within_tolerance_amount,
    coalesce(expected_unexplained_amount, 0) as expected_unexplained_amount,
    case when has_provider then provider - centra end as provider_difference,
    case
        when has_provider then provider
            - centra
            - coalesce(provider_within_tolerance_amount, 0)
            - coalesce(provider_unexplained_amount, 0)
    end as provider_explained_amount,
    case when has_provider then coalesce(provider_within_tolerance_amount, 0) end as provider_within_tolerance_amount,
    case when has_provider then coalesce(provider_unexplained_amount, 0) end as provider_unexplained_amount,
    case when verdict = 'unexplained' then worst_difference else 0 end as worst_unexplained_amount,
    case when verdict = 'within_tolerance' then worst_difference else 0 end as tolerance_used,
    coalesce(verdict, 'agrees') as verdict,
    case when verdict = 'explained' then explained_by end as explained_by,
    case when verdict <> 'explained' then culprit end as culprit,
    since
from buckets
cross join (select count(*) > 0 as has_provider from side_pairs where side = 'provider') as known
left join month_amounts on month_amounts.return_id is not distinct from buckets.return_id
    and month_amounts.order_number is not distinct from buckets.order_number and month_amounts.component = buckets.component
    and month_amounts.currency = buckets.currency
    and month_amounts.month = buckets.month
    and month_amounts.is_late = buckets.is_late;

-- Months of which a source misses something.
create or replace temp table gaps as
select month, count(*) as sources from month_end.control_totals where not is_covered group by month;

delete from month_end.month_end;
insert into month_end.month_end by name
with
-- One row per month, currency, component and lateness.
component_sums as (
    select
        month, currency, component, is_late,
        sum(
            columns(
                lambda name: ends_with(name, '_amount')
                or name in ('difference', 'expected_difference', 'provider_difference')
            )
        ),
        count(*) filter (where verdict = 'explained') as explained_count,
        count(*) filter (where verdict = 'within_tolerance') as within_tolerance_count,
        count(*) filter (where verdict = 'unexplained') as unexplained_count
    from month_rows
    group by month, currency, component, is_late
)

select
    component_sums.*,
    case
        when is_late then 'late'
        when gaps.month is not null then 'not_covered'
        when unexplained_count > 0 then 'does_not_tie'
        else 'ties'
    end as status
from component_sums
left join gaps using (month);
