-- changes: findings
-- kind:  table
-- grain: one row per file or pulled object that is refused in part or not covered

-- changes: findings
-- kind:  table
-- grain: one row per file or pulled object that is refused in part or not covered

-- quarantined_row and source_not_covered: one per file (its latest delivery under that name) or pulled object.
insert into findings by name
with
delivered as (
    select source_file, file_sha256, source_time, received_at, rows_read, problem, 'happy_returns' as culprit
    from landing.files
    qualify row_number() over (partition by source_file order by batch desc) = 1
    union all
    select source_file, file_sha256, modified_at, received_at, rows_read, problem, 'provider' as culprit
    from landing.payout_files
    qualify row_number() over (partition by source_file order by batch desc) = 1
),

bad_rows as (
    select
        rejected.source_file, rejected.file_sha256, count(*) as rows_rejected,
        list(rejected.source_line order by rejected.source_line)[:5] as first_lines,
        list(
            distinct coalesce(rejected.column_name || ' ', '') || rejected.reason
            order by coalesce(rejected.column_name || ' ', '') || rejected.reason
        )[:5
        ] as reasons
    from quarantine.rejected_rows as rejected
    where rejected.source_line is not null
        -- what a layout maps by now is read
        and not exists (
            select 1 from staging.payout_lines as lines
            where rejected.kind = 'payouts' and lines.source_file = rejected.source_file
                and lines.source_line = rejected.source_line and lines.line_type <> 'unknown'
        )
    group by rejected.source_file, rejected.file_sha256
)

select
    'quarantined_row' as kind,
    'source' as subject,
    files.source_file as identity,
    case culprit when 'provider' then 'fix_centra' else 'fix_happy_returns' end as class,
    'data_gap' as cause,
    culprit,
    least(coalesce(files.source_time, files.received_at), files.received_at, $now::timestamptz) as fact_at,
    bad_rows.rows_rejected || ' of ' || files.rows_read || ' rows of ' || files.source_file || ' could not be read: '
    || array_to_string(reasons, '; ') as detail,
    'Correct the rows (they stand in quarantine.rejected_rows with line and reason) and deliver the file again under the same name.'
        as next_step,
    json_object(
        'source_file', files.source_file, 'rows', bad_rows.rows_rejected, 'first_lines', first_lines, 'reasons', reasons
    ) as evidence
from delivered as files
join bad_rows using (source_file, file_sha256)
where files.problem is null
union all by name
select
    'source_not_covered' as kind,
    'source' as subject,
    source_file as identity,
    case culprit when 'provider' then 'fix_centra' else 'fix_happy_returns' end as class,
    'data_gap' as cause,
    culprit,
    least(coalesce(source_time, received_at), received_at, $now::timestamptz) as fact_at,
    source_file || ' could not be read: ' || problem as detail,
    case culprit when
            'provider'
            then 'Have the payment provider deliver the file again, or map its headers in a profile in $HR_CENTRA_HOME/payout_profiles.'
        else 'Deliver the file again under the same name, or map its headers in a profile in $HR_CENTRA_HOME/profiles.'
    end as next_step,
    json_object('source_file', source_file, 'file_sha256', file_sha256) as evidence
from delivered
where problem is not null
union all by name
-- A pull that did not end: what it should have read is not known, so nothing may be called clean by it.
select
    'source_not_covered' as kind,
    'source' as subject,
    'centra ' || "object" as identity,
    'fix_pipeline' as class,
    'system_error' as cause,
    'centra' as culprit,
    fetched_at as fact_at,
    'The pull of ' || "object" || ' from Centra did not end: ' || coalesce(problem, 'it was interrupted') as detail,
    'The next sync pulls the same window again; if it fails again, look at its run in Dagster.' as next_step,
    json_object('object', "object", 'window_from', window_from, 'window_to', window_to) as evidence
from (
    select * from landing.centra_pulls
    qualify row_number() over (partition by "object" order by batch desc, fetched_at desc) = 1
)
where not is_complete;
