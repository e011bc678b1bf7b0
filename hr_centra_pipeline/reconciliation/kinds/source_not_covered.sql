-- changes: findings
-- kind:  exception
-- grain: one row per file that could not be read at all, and per pull that did not end
-- exception:    source_not_covered
-- subject:      source
-- owner:        data
-- window_hours: 2
-- precedence:   10
-- severity:     error
-- family:       none
-- opens:        An export or settlement file could not be read at all (empty, unknown header, broken), a
--               settlement file does not add up to its own total, or a pull from Centra did not complete.
-- closes:       the file was read under that name, or the pull ended.

-- The latest delivery of a file under its name.
insert into findings by name
select
    'source_not_covered' as kind,
    'source' as subject,
    source_file as identity,
    case culprit when 'provider' then 'fix_centra' else 'fix_happy_returns' end as class,
    'data_gap' as cause,
    culprit,
    least(coalesce(source_time, received_at), received_at, $now::timestamptz) as fact_at,
    source_file || ' could not be read: ' || problem as detail,
    case culprit
        when 'provider'
            then 'Have the payment provider deliver the file again, or map its headers in a profile in '
                || '$HR_CENTRA_HOME/payout_profiles.'
        else 'Deliver the file again under the same name, or map its headers in a profile in $HR_CENTRA_HOME/profiles.'
    end as next_step,
    json_object('source_file', source_file, 'file_sha256', file_sha256) as evidence
from latest_deliveries
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
    'The pull of ' || "object" || ' from Centra did not complete: ' || coalesce(problem, 'it was interrupted') as detail,
    'The next sync pulls the same window again; if it fails again, look at its run in Dagster.' as next_step,
    json_object('object', "object", 'window_from', window_from, 'window_to', window_to) as evidence
from (
    select * from landing.centra_pulls
    -- What events name is pulled beside the polls, which cover everything.
    where not starts_with("object", 'event_')
    qualify row_number() over (partition by "object" order by batch desc, fetched_at desc) = 1
)
where not is_complete;

-- closing
insert into proofs by name
select
    unseen.exception_id,
    case
        when exports.source_file is not null and exports.problem is null and exports.rows_rejected = 0
            then proven_by('read_whole', 'the file was delivered again and read whole')
        when exports.source_file is not null then proven_by('delivered_again', 'the file was delivered again')
        when pulls.is_complete then proven_by('pulled', 'the next pull completed')
        when settlements.source_file is not null and settlements.problem is null
            then proven_by('adds_up', 'the settlement file was delivered again and adds up')
    end as proof
from unseen
left join latest_deliveries as exports on exports.source_file = unseen.identity and exports.culprit = 'happy_returns'
left join (
    from landing.centra_pulls
    where not starts_with("object", 'event_')
    qualify row_number() over (partition by "object" order by batch desc, fetched_at desc) = 1
) as pulls on 'centra ' || pulls."object" = unseen.identity
left join latest_deliveries as settlements on settlements.source_file = unseen.identity and settlements.culprit = 'provider'
where unseen.kind = 'source_not_covered';
