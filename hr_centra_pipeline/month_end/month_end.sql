-- One row per month, currency and component, and one more for facts of closed months that turned up late. Compared return by
-- return: a month may tie in its totals and still have returns that do not.

-- The pairs that are compared. The provider only when payouts are read, and from then on.
create or replace temp table pairs as
select 'happy_returns' as side
union all select 'expected'
union all select 'provider' where exists (select 1 from known_facts where side = 'provider');

-- One row per return, order, component, currency, month and pair whose sides differ in that month.
create or replace temp table differences as
with
buckets as (
    select
        return_id, order_number, component, currency, posted_month as month, posted_month > own_month as is_late,
        coalesce(sum(amount) filter (where side = 'centra'), 0) as centra,
        coalesce(sum(amount) filter (where side = 'happy_returns'), 0) as happy_returns,
        coalesce(sum(amount) filter (where side = 'expected'), 0) as expected,
        coalesce(sum(amount) filter (where side = 'provider'), 0) as provider
    from known_facts
    where side in ('expected', 'happy_returns', 'centra', 'provider')
    group by all
    having centra <> happy_returns or centra <> expected
        or (centra <> provider and exists (select 1 from pairs where side = 'provider'))
)

select
    buckets.* exclude (centra, happy_returns, expected, provider), pairs.side,
    case pairs.side when 'happy_returns' then happy_returns when 'expected' then expected else provider end as told,
    told - centra as difference
from buckets
cross join pairs
where told <> centra;

-- The last word of the match about each key, as of then.
create or replace temp table verdicts as
select * from reconciliation.match_journal
where recorded_at <= (select as_of from asked)
qualify row_number() over (partition by return_id, order_number, component, currency order by run_number desc) = 1;

-- A month's difference is explained as far as other months hold the opposite for the same key, earliest first; what is left
-- stays with the latest months. Of what is left, the match says whether it is timing, or within the tolerance.
create or replace temp table judged as
with
running as (
    select
        *,
        sum(greatest(difference, 0)) over upto as more_until, sum(greatest(-difference, 0)) over upto as less_until,
        sum(greatest(difference, 0)) over key as more, sum(greatest(-difference, 0)) over key as less,
        bool_or(told <> 0) over key as is_told
    from differences
    window
        key as (partition by side, return_id, order_number, component, currency),
        upto as (partition by side, return_id, order_number, component, currency order by month, is_late)
),

netted as (
    select
        running.*,
        case when difference > 0 then greatest(least(more_until - less, difference), 0)
            else -greatest(least(less_until - more, -difference), 0) end as left_over
    from running
)

select
    netted.* exclude (more_until, less_until, more, less, told, is_told),
    verdicts.culprit,
    more - less as key_difference,
    case
        -- A side that does not know the key at all is not compared: our policy with a return of before the cut-over, the
        -- provider with a refund of a day whose payouts are not read.
        when netted.side = 'expected' and not is_told and verdicts.expected_amount is null then 'not_known'
        when netted.side = 'provider' and not is_told and verdicts.provider_amount is null then 'not_known'
        -- That both vendors agree in another month explains nothing that is left: the policy may still differ from both.
        when left_over = 0 or verdicts.explained_by = 'pending' then 'explained'
        when netted.side <> 'provider' and verdicts.explained_by in ('given_instead', 'settled_outside') then 'explained'
        when abs(more - less) <= coalesce(verdicts.tolerance_used, 0) then 'within_tolerance'
        else 'unexplained'
    end as verdict
from netted
left join verdicts on verdicts.return_id is not distinct from netted.return_id
    and verdicts.order_number is not distinct from netted.order_number
    and verdicts.component = netted.component and verdicts.currency = netted.currency;

-- Months of which a source misses something.
create or replace temp table gaps as
select month, count(*) as sources from reconciliation.control_totals where not is_covered group by month;

delete from reconciliation.month_end;
insert into reconciliation.month_end by name
with
totals as (
    select
        posted_month as month, currency, component, posted_month > own_month as is_late,
        coalesce(sum(amount) filter (where side = 'expected'), 0) as expected_amount,
        coalesce(sum(amount) filter (where side = 'happy_returns'), 0) as happy_returns_amount,
        coalesce(sum(amount) filter (where side = 'centra'), 0) as centra_amount,
        sum(amount) filter (where side = 'provider') as provider_amount
    from known_facts
    where side in ('expected', 'happy_returns', 'centra', 'provider')
    group by all
),

left_overs as (
    select
        month, currency, component, is_late,
        coalesce(sum(left_over) filter (where side = 'happy_returns' and verdict = 'unexplained'), 0) as unexplained_amount,
        coalesce(sum(left_over) filter (where side = 'happy_returns' and verdict = 'within_tolerance'), 0) as within_tolerance_amount,
        count(*) filter (where side = 'happy_returns' and left_over <> 0 and verdict = 'within_tolerance') as within_tolerance_count,
        count(*) filter (where side = 'happy_returns' and verdict = 'explained') as explained_count,
        count(distinct (return_id, order_number)) filter (where left_over <> 0 and verdict = 'unexplained') as unexplained_count,
        coalesce(sum(left_over) filter (where side = 'expected' and verdict = 'unexplained'), 0) as expected_unexplained_amount,
        coalesce(sum(left_over) filter (where side = 'provider' and verdict = 'unexplained'), 0) as provider_unexplained_amount
    from judged group by all
),

together as (
    select
        totals.* exclude (provider_amount),
        case when has_provider then coalesce(provider_amount, 0) end as provider_amount,
        happy_returns_amount - centra_amount as difference,
        expected_amount - centra_amount as expected_difference,
        coalesce(unexplained_amount, 0) as unexplained_amount,
        coalesce(within_tolerance_amount, 0) as within_tolerance_amount,
        coalesce(within_tolerance_count, 0) as within_tolerance_count,
        coalesce(explained_count, 0) as explained_count,
        coalesce(unexplained_count, 0) as unexplained_count,
        coalesce(expected_unexplained_amount, 0) as expected_unexplained_amount,
        case when has_provider then coalesce(provider_unexplained_amount, 0) end as provider_unexplained_amount
    from totals
    cross join (select count(*) > 0 as has_provider from pairs where side = 'provider') as known
    left join left_overs using (month, currency, component, is_late)
)

select
    together.*,
    difference - unexplained_amount - within_tolerance_amount as explained_amount,
    provider_amount - centra_amount as provider_difference,
    case
        when is_late then 'late'
        when gaps.month is not null then 'not_covered'
        when unexplained_count > 0 then 'does_not_tie'
        else 'ties'
    end as status
from together
left join gaps using (month);
