-- makes: findings, known_units, booked_returns, missing_effects, last_push, units_text, maker_text,
--        ask_maker
-- kind:  step
-- grain: one row per trouble that the present facts show, open or not yet

-- What every family of kinds reads and writes. One row of `findings` per trouble that the present facts show, open or not
-- yet. subject: what of the unit it is about (for one unit and subject the first kind in the order of precedence wins);
-- identity: what distinguishes it where return, unit and order do not.
create or replace temp table findings (
    kind varchar, subject varchar, identity varchar, class varchar, cause varchar, culprit varchar,
    return_id varchar, return_item_id varchar, order_number varchar, sku varchar,
    currency varchar, amount decimal(18, 4), fact_at timestamptz, window_hours bigint,
    detail varchar, next_step varchar, evidence json,
    -- Nothing but the dry run holds it back: nobody has anything to do before its effect type is live. Null: no.
    is_dry_run boolean
);

create or replace temp macro units_text(units) as units || case when units = 1 then ' unit' else ' units' end;

-- Who made a Return that is not ours, in words; and how to find out. An unlisted word without an admin user may be anybody's.
create or replace temp macro maker_text(made_by) as
case made_by
    when 'person' then 'a person' when 'integration' then 'another integration' else 'another integration or user'
end;
create or replace temp macro ask_maker(made_by) as
case made_by
    when 'person' then 'Ask who made the Return'
    when 'integration' then 'Find out which integration made the Return'
    else 'Find out who made the Return'
end;

-- One row per unit of the active orders that has its shipment line, with what the kinds about units need.
create or replace temp table known_units as
select
    items.return_item_id, items.return_id, items.order_number, matched.sku, matched.currency, matched.unit_price,
    matched.voucher_share,
    matched.voucher_tax,
    matched.voucher_tax_added,
    matched.unit_tax,
    matched.unit_tax_added,
    matched.tax_mode,
    lines.tax_percent, orders.country, matched.order_line_id, matched.shipment_line_id,
    matched.foreign_centra_return_id,
    items.refund_type,
    items.dropoff_method,
    items.received_at,
    items.approved_at,
    items.disposition,
    items.disposition_at,
    items.approval_withdrawn_at,
    units.is_after_cutover, units.is_refused, units.is_mapped, units.credit_trigger, units.credit_due_at,
    is_returnless(items.received_channel, items.dropoff_method) as is_returnless,
    in_warehouse_at(
        ends_at_drop_off(items.dropoff_method),
        items.received_at,
        items.warehouse_received_at
    ) as arrived_at,
    json_object('source_file', items.source_file, 'source_line', items.source_line) as evidence
from staging.return_items as items
semi join matching.orders_in_play using (order_number)
join matching.matched_items as matched using (return_item_id)
join effects.units as units using (return_item_id)
join staging.order_lines as lines on lines.order_line_id = matched.order_line_id
join staging.orders as orders on orders.order_number = matched.order_number
where matched.shipment_line_id is not null;

-- One row per line of a stock change that somebody booked as a customer return. Centra's own movement for a Return that put its
-- goods back is none: it is in that Return's warehouse, of its articles, and of the same minutes. (What a movement is called
-- in `type` is not documented.)
create or replace temp table booked_returns as
select changes.*
from staging.stock_changes as changes
where changes.is_customer_return and changes.quantity > 0 and len(coalesce(changes.effect_keys, [])) = 0
    and not exists (
        select 1
        from staging.centra_returns as returns
        join staging.centra_return_lines as lines using (centra_return_id)
        join staging.order_lines as sold on sold.order_line_id = lines.order_line_id
        where returns.returned_to_stock and returns.warehouse_id = changes.warehouse_id and sold.sku = changes.sku
            and abs(date_diff('second', returns.created_at, changes.created_at)) <= 300
    );

-- One row per effect of a known unit that is due and still not in Centra, with why. The pending tables were filled before
-- the push: what the ledger has as confirmed is done, what was refused is a kind of its own.
create or replace temp table missing_effects as
with
actionable_effects as (
    -- What is not said of a status is a kind of its own.
    from pending_effects where policy.subject_of(effect_kind) <> 'status'
),

-- The refund rows of a unit that were issued while another payer may have paid.
issued_before as (
    select
        return_item_id,
        string_agg(refund_id || ', issued on ' || strftime(issued_at, '%Y-%m-%d'), '; ' order by refund_id) as refunds
    from paid_through
    where refund_id is not null and return_item_id is not null and seen_payer <> pays_now
    group by return_item_id
),

-- What Centra said last to effects that it has refused.
refusals as (
    select effect_key, arg_max(message, updated_at) as message, max(updated_at) as refused_at
    from (select unnest(members) as effect_key, message, updated_at from push.packets where state = 'rejected')
    semi join actionable_effects using (effect_key)
    group by effect_key
),

due_effects as (
    select
        actionable_effects.effect_key,
        actionable_effects.effect_kind,
        actionable_effects.return_item_id,
        actionable_effects.amount,
        actionable_effects.trigger_at,
        actionable_effects.sendable_at, actionable_effects."mode", coalesce(ledger.state, 'planned') as state, ledger.packet_key,
        case
            when actionable_effects.blocked_code is not null then actionable_effects.blocked_code
            when ledger.asked_batch is not null then question_reasons.code
            else ledger.reason_code
        end as why_code,
        coalesce(
            actionable_effects.blocked_by,
            case when ledger.asked_batch is not null then
                    question_reasons.sentence
                    || case when ledger.asks_payer and issued.refunds is not null
                            then
                                '; Happy Returns says that it was refunded (refund ' || issued.refunds || ')'
                        else ''
                    end
            end,
            ledger.reason
        ) || coalesce(
            '; Centra refused it on ' || strftime(refusals.refused_at, '%Y-%m-%d') || ': ' || refusals.message, ''
        ) as why
    from actionable_effects
    left join push.ledger using (effect_key)
    left join refusals using (effect_key)
    left join issued_before as issued on issued.return_item_id = actionable_effects.return_item_id
    left join policy.reasons as question_reasons
        on question_reasons.code = case when ledger.decided_sha256 is null then 'due_by_settings' else 'changed_by_settings' end
    where ledger.state is distinct from 'confirmed' and ledger.state is distinct from 'rejected'
        and actionable_effects.effect_kind <> 'exchange_release' -- reported with the replacement that is not shipped
        -- What a guard holds back is one exception of that guard, not one of each unit.
        and (actionable_effects.blocked_code is not null or ledger.reason_code is distinct from 'guard')
        -- It is where the settings wanted it when it was put there: whether to move it is a question, not a problem.
        and not (
            ledger.asked_batch is not null and actionable_effects.effect_kind = 'inventory_adjustment'
            and (actionable_effects.evidence::json ->> 'ordinal')::integer > 1
            and ledger.effect_key not in (select effect_key from push.approvals)
        )
)

select
    due_effects.* exclude (why),
    units.* exclude (return_item_id, evidence),
    json_merge_patch(units.evidence, json_object(
        'effect_key',
        due_effects.effect_key,
        'mode',
        due_effects."mode",
        'state',
        due_effects.state,
        'packet_key',
        due_effects.packet_key
    )) as evidence,
    reasons.class is null and due_effects."mode" = 'dry_run' and due_effects.state = 'planned' as is_dry_run,
    coalesce(
        due_effects.why,
        case when due_effects."mode" <> 'live' then 'its effect type is in mode ' || due_effects."mode" end,
        case due_effects.state when 'planned' then 'planned, and not sent yet' else 'its outcome is in doubt' end
    ) as why,
    coalesce(reasons.class, 'fix_pipeline') as class,
    coalesce(reasons.cause, case when due_effects."mode" <> 'live' then 'policy_gap' end, 'system_error') as cause,
    coalesce(reasons.culprit, case when due_effects."mode" <> 'live' then 'policy' end, 'pipeline') as culprit,
    coalesce(
        reasons.next_step,
        case
            when
                due_effects."mode" <> 'live'
                then 'Do it by hand, or let the pipeline send it: [modes] in the policy, and HR_CENTRA_MODE.'
        end,
        'Check the last sync in Dagster for why this was not sent.'
    ) as next_step
from due_effects
join known_units as units using (return_item_id)
left join policy.reasons on reasons.code = due_effects.why_code;

-- The push that was tried last.
create or replace temp table last_push as
from push.pushes qualify row_number() over (order by real_started_at desc) = 1;
