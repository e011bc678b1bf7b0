-- changes: findings
-- kind:  exception
-- grain: one row per file of which rows could not be read, and per thing that is wrong with webhook deliveries, or with answers
-- exception:    quarantined_row
-- subject:      source
-- owner:        data
-- window_hours: 0
-- precedence:   15
-- severity:     warning
-- family:       none
-- opens:        Some rows of a file could not be read; the others were. Or something of webhook deliveries, or of answers of
--               the partner API, could not be read.
-- closes:       a later delivery of the file has no bad rows; the deliveries were read again, or the same was looked up again
--               and read whole.

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

-- Webhook deliveries, by what is wrong with them: thousands may use the same new word.
insert into findings by name
with
bad_deliveries as (
    select
        rejected.source_file, rejected.rejected_at, coalesce(rejected.column_name || ' ', '') || rejected.reason as why,
        coalesce(rejected.column_name = 'retailer_id', false) as is_other_retailer,
        'deliveries: '
        || coalesce(rejected.column_name || ' ', '')
        || coalesce(rejected.word, '') as identity
    from quarantine.rejected_rows as rejected
    where starts_with(rejected.source_file, 'event ')
)

select
    'quarantined_row' as kind,
    'source' as subject,
    identity,
    'fix_happy_returns' as class,
    'data_gap' as cause,
    'happy_returns' as culprit,
    least(min(rejected_at), $now::timestamptz) as fact_at,
    count(*) || ' parts of ' || count(distinct source_file) || ' webhook deliveries could not be read: ' || min(why) as detail,
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

-- Answers of the partner API, by what is wrong with them. It stands until the same return, order or shipment was looked up again
-- and read whole: an answer of nothing (204), or one that cannot be used, says nothing about it.
insert into findings by name
with
-- One row per part of an answer that could not be read, with what was asked.
bad_parts as (
    select
        rejected.source_file, rejected.rejected_at, coalesce(rejected.column_name || ' ', '') || rejected.reason as why,
        coalesce(rejected.column_name = 'retailer_id', false) as is_other_retailer,
        'answers: '
        || coalesce(rejected.column_name || ' ', '')
        || coalesce(rejected.word, '') as identity,
        answers.criterion, answers.value, answers.asked_at
    from quarantine.rejected_rows as rejected
    left join landing.partner_answers as answers on 'api ' || answers.answer_id = rejected.source_file
    where starts_with(rejected.source_file, 'api ')
),

-- One row per look-up of these that brought rows, all of which could be read: the last one.
whole_look_ups as (
    select criterion, value, max(asked_at) as asked_at
    from (
        select criterion, value, asked_at
        from landing.partner_answers
        semi join bad_parts using (criterion, value)
        group by all
        having sum(rows_read) > 0 and sum(rows_rejected) = 0 and count(problem) = 0 and bool_or(is_last)
    )
    group by criterion, value
)

select
    'quarantined_row' as kind,
    'source' as subject,
    bad_parts.identity,
    'fix_happy_returns' as class,
    'data_gap' as cause,
    'happy_returns' as culprit,
    least(min(bad_parts.rejected_at), $now::timestamptz) as fact_at,
    count(*) || ' parts of ' || count(distinct source_file) || ' answers of the partner API could not be read: ' || min(why)
        as detail,
    case
        when bool_or(is_other_retailer) then 'Give that retailer a home of its own, or accept it: hr-centra rebind --retailer.'
        else 'Map it in the event profile ($HR_CENTRA_HOME/event_profiles). Bodies of answers are not kept: the next look-up of '
            || 'the same return, order or shipment reads it.'
    end as next_step,
    json_object(
        'answers', list(distinct source_file order by source_file)[:5], 'rows', count(*),
        'asked', list(distinct bad_parts.value order by bad_parts.value)[:5],
        'reasons', list(distinct why order by why)[:5]
    ) as evidence
from bad_parts
left join whole_look_ups
    on whole_look_ups.criterion = bad_parts.criterion and whole_look_ups.value = bad_parts.value
        and whole_look_ups.asked_at > bad_parts.asked_at
where whole_look_ups.asked_at is null
group by identity;

-- closing
insert into proofs by name
select
    unseen.exception_id,
    case
        -- only reading it again takes out of quarantine what is wrong with a delivery
        when starts_with(unseen.identity, 'deliveries: ') then proven_by('read_whole', 'the deliveries were read again')
        -- found until a later look-up was read whole, or a person has emptied its place in quarantine
        when starts_with(unseen.identity, 'answers: ')
            then proven_by('read_whole', 'what it is about was looked up again and read whole')
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
