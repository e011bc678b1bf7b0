-- changes: findings
-- kind:  exception
-- grain: one row per file of which rows could not be read, and per thing that is wrong with webhook deliveries
-- exception:    quarantined_row
-- subject:      source
-- owner:        data
-- window_hours: 0
-- precedence:   15
-- severity:     warning
-- family:       none
-- opens:        Some rows of a file could not be read; the others were. Or something of webhook deliveries, or of answers of
--               the partner API, could not be read.
-- closes:       a later delivery of the file has no bad rows; the deliveries were read again, or the API was asked again.

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

-- Webhook deliveries, and the latest answers of the partner API, by what is wrong with them: thousands may use the same new word.
insert into findings by name
with
latest_answers as (
    select 'api ' || answer_id as source_file from landing.partner_answers
    qualify row_number() over (partition by criterion, value, page order by batch desc) = 1
),

bad_deliveries as (
    select
        rejected.source_file, rejected.rejected_at, coalesce(rejected.column_name || ' ', '') || rejected.reason as why,
        coalesce(rejected.column_name = 'retailer_id', false) as is_other_retailer,
        'deliveries: '
        || coalesce(rejected.column_name || ' ', '')
        || coalesce(rejected.word, split_part(rejected.reason, ':', 1)) as identity
    from quarantine.rejected_rows as rejected
    where starts_with(rejected.source_file, 'event ') or rejected.source_file in (select source_file from latest_answers)
)

select
    'quarantined_row' as kind,
    'source' as subject,
    identity,
    'fix_happy_returns' as class,
    'data_gap' as cause,
    'happy_returns' as culprit,
    least(min(rejected_at), $now::timestamptz) as fact_at,
    count(*) || ' parts of ' || count(distinct source_file) || ' webhook deliveries or answers could not be read: ' || min(why)
        as detail,
    case
        when bool_or(is_other_retailer) then 'Give that retailer a home of its own, or accept it: hr-centra rebind --retailer.'
        else 'Map it in the event profile ($HR_CENTRA_HOME/event_profiles), and the next sync reads them again; hr-centra inbox '
            || 'show prints a delivery. What is wrong in itself is corrected by the next file or answer.'
    end as next_step,
    json_object(
        'deliveries', list(distinct source_file order by source_file)[:5], 'rows', count(*),
        'reasons', list(distinct why order by why)[:5]
    ) as evidence
from bad_deliveries
group by identity;

-- closing
insert into proofs by name
select
    unseen.exception_id,
    case
        -- only reading it again takes out of quarantine what is wrong with a delivery
        when starts_with(unseen.identity, 'deliveries: ') then proven_by('read_whole', 'the deliveries were read again')
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
