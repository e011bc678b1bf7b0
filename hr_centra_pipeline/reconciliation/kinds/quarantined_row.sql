-- changes: findings
-- kind:  exception
-- grain: one row per file of which rows could not be read
-- exception:    quarantined_row
-- subject:      source
-- owner:        data
-- window_hours: 0
-- precedence:   15
-- severity:     warning
-- family:       none
-- opens:        Some rows of a file could not be read; the others were.
-- closes:       a later delivery of the file has no bad rows.

-- The latest delivery of a file under its name.
insert into findings by name
with
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
    'Correct the rows (quarantine.rejected_rows has them, with line and reason) and deliver the file again under the same name.'
        as next_step,
    json_object(
        'source_file', files.source_file, 'rows', bad_rows.rows_rejected, 'first_lines', first_lines, 'reasons', reasons
    ) as evidence
from latest_deliveries as files
join bad_rows using (source_file, file_sha256)
where files.problem is null;

-- closing
insert into proofs by name
select
    unseen.exception_id,
    case
        when exports.source_file is not null and exports.problem is null and exports.rows_rejected = 0
            then proven_by('read_whole', 'the file was delivered again and read whole')
        when exports.source_file is not null then proven_by('delivered_again', 'the file was delivered again')
        when exists (
                select 1 from landing.payout_lines as landed
                join staging.payout_lines as lines using (source_file, source_line)
                where landed.source_file = unseen.identity
                    and landed.set_aside = 'line_type'
                    and lines.line_type <> 'unknown'
                    and landed.batch = settlements.batch
            ) then proven_by('mapped', 'the layout maps its lines now')
        when settlements.source_file is not null and settlements.problem is null
            then proven_by('adds_up', 'the settlement file was delivered again and adds up')
    end as proof
from unseen
left join latest_deliveries as exports on exports.source_file = unseen.identity and exports.culprit = 'happy_returns'
left join latest_deliveries as settlements on settlements.source_file = unseen.identity and settlements.culprit = 'provider'
where unseen.kind = 'quarantined_row';
