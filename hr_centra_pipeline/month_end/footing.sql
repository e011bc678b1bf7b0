-- kind:  query
-- grain: one row per cell of the summary that is not the sum of its rows, as a sentence

-- Cells of the month's summary that are not the sum of their rows in `refund_differences`, in words. A month that was closed before
-- those rows were kept cannot be proven so, and is left out.
with
-- One row per currency, component and lateness, summed from the rows.
row_sums as (
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
    from month_end.refund_differences
    where month = (select month from report_period)
    group by month, currency, component, is_late
),

-- One row per currency, component and lateness, as it is published.
summary_rows as (
    select
        currency, component, is_late, columns(* exclude (month, currency, component, is_late, status))::decimal(38, 4)
    from month_end.month_end where month = (select month from report_period)
),

shown_cells as (
    unpivot summary_rows on columns(* exclude (currency, component, is_late)) into name cell value amount
),

exact_sums as (
    select currency, component, is_late, columns(* exclude (month, currency, component, is_late))::decimal(38, 4)
    from row_sums
),

summed_cells as (
    unpivot exact_sums on columns(* exclude (currency, component, is_late)) into name cell value amount
)

select
    'Summary of '
    || (select month from report_period
    )
    || ', '
    || currency
    || ' '
    || component
    || case when is_late then ' (late)' else '' end
    || ': '
    || replace(cell, '_', ' ') || ' is ' || coalesce(shown_cells.amount::varchar, 'missing') || ', its rows sum to '
    || coalesce(summed_cells.amount::varchar, 'nothing') || '.'
from shown_cells
full join summed_cells using (currency, component, is_late, cell)
where shown_cells.amount is distinct from summed_cells.amount
    and not exists (
        select 1
        from month_end.refund_differences
        where month = (select month from report_period) and (verdict is null or is_late is null)
    )
order by 1;
