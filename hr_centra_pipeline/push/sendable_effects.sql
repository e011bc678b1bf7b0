-- makes: sendable_effects
-- kind:  query
-- grain: one row per effect of the last plan that is not in Centra, with why it waits

-- One row per effect of the last plan that is not in Centra, with what its packet needs and why it waits by today's plan, policy
-- and approvals: of those that are planned, and of those that are under way, which are asked again before each call.
-- What an approval keeps is in there, too.
create or replace temp table sendable_effects as
with
-- One row per effect that a person approved, as it was when that was done last, with the codes of what it waited for: another
-- hash, or a reason that has come since, needs another approval.
approved_effects as (
    select effect_key, approval_sha256, flatten(list(codes)) as codes
    from (
        select
            effect_key, approval_sha256, codes, last_value(approval_sha256) over (
                partition by effect_key
                order by approved_at, rowid rows between unbounded preceding and unbounded following
            ) as latest
        from push.approvals where approval_sha256 is not null
    )
    where approval_sha256 = latest
    group by effect_key, approval_sha256
),

-- One row per replacement that a person let through. An earlier version did not keep for which reasons: for every one.
approved_exchanges as (
    select effect_key, flatten(list(coalesce(codes, ['mode', 'limit', 'settings']))) as codes
    from push.approvals
    group by all
),

-- A chargeback counts on units for which something is still to be given, and the plan takes what is half done for given: here
-- is what found no other unit. One row per effect that meets it; one in another currency meets every one of its order.
uncovered_chargebacks as (
    select order_number, amount - counted as amount, is_abroad from effects.chargebacks where amount > counted
),

charged_back_effects as (
    select
        units.effect_key, bool_and(uncovered_chargebacks.is_abroad) as is_abroad,
        max(uncovered_chargebacks.amount - units.before) filter (where not uncovered_chargebacks.is_abroad) as amount
    from (
        select
            desired_effects.effect_key, desired_effects.order_number,
            sum(desired_effects.amount) over (partition by desired_effects.order_number order by desired_effects.return_item_id)
            - desired_effects.amount as before
        from desired_effects
        join push.ledger using (effect_key)
        left join effects.value_given_back as value on value.return_item_id = desired_effects.return_item_id
        where gives_value(desired_effects.effect_kind) and coalesce(value.chargeback, 0) = 0
            and ledger."state" in ('planned', 'sending', 'unknown')
    ) as units
    join uncovered_chargebacks using (order_number)
    where uncovered_chargebacks.is_abroad or units.before < uncovered_chargebacks.amount
    group by units.effect_key
),

-- One row per effect of the plan, with what was approved of it.
considered_effects as (
    select
        desired_effects.* exclude ("state"),
        ledger."state" as ledger_state,
        ledger.travels_alone,
        ledger.planned_at,
        ledger.asked_batch,
        effect_types.effect_type, modes.policy_mode,
        -- Who let the replacement through has let its release through.
        coalesce(approved_effects.codes, approved_exchanges.codes, []) as approved_codes,
        -- What of it a person has to let through, but for the limit: that is about what leaves at once.
        list_filter(list_concat(coalesce(desired_effects.approval_codes, []), [
            case when ledger.asked_batch is not null then 'settings' end,
            case when modes.policy_mode = 'approve' then 'mode' end,
            case when desired_effects.effect_kind = 'inventory_adjustment' and desired_effects.sendable_at > $now then 'hold' end
        ]), lambda code: code is not null) as waits_for_codes,
        len(waits_for_codes) > 0 and list_has_all(approved_codes, waits_for_codes) as is_approved,
        ledger.decided_sha256 as decided_before,
        coalesce((desired_effects.evidence::json ->> 'is_announcement')::boolean, false) as is_announcement,
        desired_effects.blocked_code is not null and not (is_approved and coalesce(blocks.needs_approval, false)) as is_blocked,
        charged_back_effects.effect_key is not null as meets_chargeback,
        coalesce(charged_back_effects.is_abroad, false) as is_abroad, charged_back_effects.amount as charged_back,
        coalesce(value.given - value.exchange > 0, false) as has_money,
        -- Half done as another article or of another order than Happy Returns names by now, and nothing of it was finished.
        gives_value(desired_effects.effect_kind) and desired_effects.origin_return_id is null
        and coalesce(matched.is_corrected, false) and not exists (
            select 1
            from push.ledger as ledger_rows
            where ledger_rows.return_item_id = desired_effects.return_item_id and ledger_rows."state" = 'confirmed'
                and gives_value(ledger_rows.effect_kind)
        ) as is_corrected
    from desired_effects
    join push.ledger using (effect_key)
    join policy.effect_types on effect_types.effect_kind = desired_effects.effect_kind
    join policy.modes on modes.effect_type = effect_types.effect_type
    left join
        approved_effects
        on approved_effects.effect_key = desired_effects.effect_key
            and approved_effects.approval_sha256 = desired_effects.approval_sha256
    left join approved_exchanges on approved_exchanges.effect_key = (desired_effects.evidence::json ->> 'exchange')
    left join effects.value_given_back as value on value.return_item_id = desired_effects.return_item_id
    left join charged_back_effects on charged_back_effects.effect_key = desired_effects.effect_key
    left join policy.reasons as blocks on blocks.code = desired_effects.blocked_code
    left join matching.matched_items as matched on matched.return_item_id = desired_effects.return_item_id
    where ledger."state" in ('planned', 'sending', 'unknown')
),

-- The same rows, with what holds each back, approved or not.
held_effects as (
    select
        * exclude (meets_chargeback, is_abroad, has_money, is_corrected),
        -- How much one in another currency took back is not known: who approves the effect has looked.
        meets_chargeback and not (is_abroad and is_approved) as is_charged_back,
        is_charged_back or has_money as is_given_back,
        case
            when is_corrected then policy.reason('corrected')
            when is_blocked then policy.reason(blocked_code)
            when is_charged_back and (pays_through is distinct from 'elsewhere')
                then
                    policy.reason('charged_back', case when charged_back < amount
                            then
                                ': '
                                || money_text(charged_back, currency)
                                || ' of '
                                || money_text(amount, currency)
                                || '; '
                                || money_text(amount - charged_back, currency) || ' is left'
                        else ''
                    end)
            when sendable_at > $now and not (is_approved and effect_kind = 'inventory_adjustment') then
                policy.reason('waits_until', strftime(sendable_at, '%Y-%m-%d %H:%M UTC'))
        end as held_by
    from considered_effects
),

-- What leaves at once: the refund of a shipment by one payer, or the goods of its exchanges, whatever packets they are cut into.
effects_leaving_together as (
    select
        *,
        sum(signed_amount(effect_kind, amount) - case when takes_off(effect_kind) then 0 else coalesce(fee, 0) end) filter (
            held_by is null
        ) over (
            partition by effect_type, order_number, shipment_id, pays_through, origin_return_id, currency
        ) as leaves_at_once
    from held_effects
),

-- The same rows, each with its own reason to wait.
reasoned_effects as (
    select
        effects_leaving_together.*,
        coalesce(leaves_at_once > limits.amount and effect_type in ('credit_note', 'exchange_order'), false)
            as is_above,
        case when is_above then list_append(waits_for_codes, 'limit') else waits_for_codes end as codes,
        case
            when held_by is not null then held_by
            when not is_approved and asked_batch is not null and decided_before is null
                then policy.reason('due_by_settings')
            when not is_approved and asked_batch is not null then policy.reason('changed_by_settings')
            when not is_approved and policy_mode = 'approve' then policy.reason('mode_approve', effect_type)
            when is_above and not list_contains(approved_codes, 'limit')
                then policy.reason('above_limit', effects_leaving_together.currency)
        end as own_reason
    from effects_leaving_together
    left join policy.approval_limits as limits using (currency)
),

-- The same rows, with what they wait for together.
waiting_effects as (
    select
        reasoned_effects.*,
        coalesce(
            own_reason,
            -- What was approved is the whole amount: a fee or shipping that nobody has seen holds its credit.
            case when effect_kind = 'credit_note' and bool_or(
                        is_of_the_return(effect_kind) and coalesce(reasons.needs_approval, false)
                    ) over (partition by return_id, order_number)
                    then policy.reason('fee_or_shipping_held')
            end
        ) as waits
    from reasoned_effects
    left join policy.reasons on reasons.code = reasoned_effects.own_reason.code
)

select
    effect_key,
    effect_kind,
    group_key,
    return_id,
    return_item_id,
    order_number,
    shipment_id,
    shipment_line_id,
    bundle,
    bundle_shipment_line_id,
    bundle_units,
    sku,
    quantity,
    warehouse_id,
    from_warehouse_id,
    currency,
    amount,
    items,
    tax,
    shipping,
    fee,
    voucher,
    tax_mode,
    tax_added,
    fee_tax_added,
    pays_through,
    "text",
    express_code,
    evidence::json ->> 'about' as about,
    (evidence::json ->> 'customer_id')::bigint as customer_id,
    refund_id,
    origin_return_id,
    travels_alone,
    is_announcement,
    waiting_since(sendable_at, planned_at) as waiting_since,
    -- The more careful of the policy's and the run's: what a person approved counts as live in a live run.
    case when policy_mode = 'approve' and is_approved and "mode" = 'approve' then 'live' else "mode" end as "mode",
    -- In the plan's words, where the plan holds it.
    case when is_blocked and waits.code = blocked_code then blocked_by
        else policy.in_words(reasons.sentence, waits.figures)
    end as waits_for,
    waits.code as waits_for_code,
    ledger_state,
    planned_at,
    is_given_back,
    trigger_at,
    approval_sha256,
    codes
from waiting_effects
left join policy.reasons on reasons.code = waiting_effects.waits.code;

select * exclude (trigger_at, approval_sha256, codes) from sendable_effects order by trigger_at, effect_key;
