-- changes: findings
-- kind:  exception
-- grain: one row per guard that stopped an effect type in the last push
-- exception:    guard_breached
-- subject:      credit, stock, exchange, status
-- owner:        data
-- window_hours: 0
-- precedence:   50
-- severity:     error
-- family:       none
-- opens:        A cap of the policy, the guard against a surge, a schema of Centra that does not fit, or the
--               kill switch stopped an effect type: nothing of it is sent, and its effects wait.
-- closes:       a push was not stopped by it.

-- One row per guard that stopped an effect type in the last push; the kill switch is one of them.
insert into findings by name
select
    'guard_breached' as kind,
    policy.subject_of(effect_type) as subject,
    concat_ws(' ', effect_type, case guard_code when 'surge' then 'surge' else guard end, currency) as identity,
    'fix_pipeline' as class,
    guards.cause,
    guards.culprit,
    currency, amount,
    breached_at as fact_at,
    detail || ' (' || effects || ' effects wait); nothing of '
    || case when guard_code = 'contract_payer' then 'it' else 'this type' end
    || ' is sent' as detail,
    case
        when guard_code in ('contract', 'contract_payer')
            then
                '`hr-centra doctor` lists what does not fit and what to set. It is looked at again each day, and as soon as '
                || 'the policy changes.'
        else 'Find out why there is so much: a setting at Happy Returns, a peak, a mistake. If it is right: `hr-centra raise '
            || effect_type
            || '` lets it through once.'
    end as next_step,
    json_object('guard', guard, 'effects', effects, 'allowed', allowed, 'mode', last_push.mode, 'push_id', push_id)
        as evidence
from push.breaches
join last_push using (push_id)
left join policy.guards using (guard_code)
union all by name
select
    'guard_breached' as kind, 'credit' as subject, 'kill switch' as identity, 'accept' as class, 'policy_gap' as cause,
    'person' as culprit, started_at as fact_at, 'Nothing is sent: ' || halted as detail,
    'When the reason is gone, remove the file: the next sync carries on.' as next_step,
    json_object('push_id', push_id, 'mode', mode) as evidence
from last_push where halted_code = 'kill_switch';

-- closing
insert into proofs by name
select exception_id, proven_by('not_stopped', 'the last push was not stopped by it') as proof
from unseen
where kind = 'guard_breached' and exists (from last_push);
