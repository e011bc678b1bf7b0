-- kind:  query
-- grain: one row per effect that is due and held back, or whose wait is not over

-- now: the decision time.
with
-- One row per unit, and one per return without a unit, with the team that has an exception about it.
teams as (
    select return_id, return_item_id, arg_min(owner_team, (due_at, exception_id)) as owner_team
    from reconciliation.exceptions
    where return_id is not null
    group by return_id, return_item_id
)

select
    effects.effect_key, effects.effect_kind, effects.return_id, effects.return_item_id, effects.order_number, effects.sku,
    effects.currency, effects.amount::varchar as amount, instant_text(effects.trigger_at) as held_since,
    case when effects.sendable_at > $now then instant_text(effects.sendable_at) end as held_until,
    coalesce(effects.blocked_code, case when effects.sendable_at > $now then 'waits_until' else 'mode' end) as code,
    coalesce(
        effects.blocked_by,
        case when effects.sendable_at > $now then policy.in_words(wait.sentence, [instant_text(effects.sendable_at)])
            else policy.in_words(mode_reason.sentence, [effects."mode"])
        end
    ) as why,
    coalesce(teams.owner_team, teams_of_returns.owner_team, must_act_for(
        effects."mode", effects.sendable_at, $now, reasons.needs_approval, reasons.class, kinds.owner_team
    )) as must_act
from pending_effects as effects
left join policy.reasons as wait on wait.code = 'waits_until'
left join policy.reasons as mode_reason on mode_reason.code = 'mode'
left join policy.reasons as reasons on reasons.code = effects.blocked_code
left join policy.effect_types as types on types.effect_kind = effects.effect_kind
left join policy.exception_kinds as kinds on kinds.kind = types.missing
left join teams on teams.return_id = effects.return_id and teams.return_item_id = effects.return_item_id
left join teams as teams_of_returns
    on teams_of_returns.return_id = effects.return_id and teams_of_returns.return_item_id is null
where effects.blocked_by is not null or effects.sendable_at > $now or effects."mode" in ('off', 'dry_run', 'approve')
order by effects.effect_key;
