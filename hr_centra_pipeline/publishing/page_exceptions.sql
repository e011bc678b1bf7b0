-- kind:  query
-- grain: one row per exception that is open, or closed since a time

-- The exceptions that the pages show, each with its history. Figures that grow by the hour are left out: a row that says the same is
-- not written again. now: the decision time; closed_since: how long ago one may have closed; most: closed ones that are kept.
with
open_exceptions as (
    select *, 'open' as state from reconciliation.exceptions
    union all by name
    select *, 'dry_run' as state from reconciliation.dry_run_items
),

-- One row per exception that is not open any more, as its history shows it.
closed_exceptions as (
    select
        exception_id, any_value(kind) as kind, min("at") filter (where event = 'opened') as opened_at,
        arg_max(subject::json, (coalesce(run_number, 0), "at", rowid)) filter (where subject is not null) as told,
        max("at") filter (where event = 'closed') as closed_at,
        arg_max(proof, (coalesce(run_number, 0), "at", rowid)) filter (where event = 'closed') as proof
    from reconciliation.exception_events
    anti join open_exceptions using (exception_id)
    group by exception_id
    having max("at") filter (where event = 'closed') >= $closed_since
    qualify row_number() over (order by closed_at desc, exception_id) <= $most
),

shown_exceptions as (
    select
        exception_id, state, kind, class, cause, culprit, owner_team, severity, return_id, return_item_id, order_number, sku,
        currency, amount, opened_at, due_at, overdue, detail, next_step, evidence, cast(null as timestamptz) as closed_at,
        cast(null as varchar) as proof
    from open_exceptions
    union all by name
    select
        exception_id, 'closed' as state, kind, told ->> 'class' as class, told ->> 'cause' as cause,
        told ->> 'culprit' as culprit, told ->> 'owner_team' as owner_team, 'info' as severity,
        told ->> 'return_id' as return_id, told ->> 'return_item_id' as return_item_id,
        told ->> 'order_number' as order_number, told ->> 'sku' as sku, told ->> 'currency' as currency,
        (told ->> 'amount')::decimal(18, 4) as amount, opened_at, false as overdue, told ->> 'detail' as detail,
        told ->> 'next_step' as next_step, (told -> 'evidence')::varchar as evidence, closed_at, proof
    from closed_exceptions
),

histories as (
    select
        exception_id,
        string_agg(to_json(struct_pack(
            event := event, "at" := instant_text("at"), "by" := "by", detail := subject::json ->> 'detail', proof := proof,
            note := note, decision := decision
        ))::varchar, ',' order by coalesce(run_number, 0), "at", rowid) as history,
        arg_max(struct_pack(note := note, decision := decision, "by" := "by", "at" := "at"), (coalesce(run_number, 0), "at", rowid))
        filter (where event = 'noted') as last_note
    from reconciliation.exception_events
    semi join shown_exceptions using (exception_id)
    group by exception_id
)

select
    exception_id, state, kind, rules.family, shown.class, shown.cause, shown.culprit, shown.owner_team, shown.severity,
    shown.return_id, shown.return_item_id, shown.order_number, shown.sku, shown.currency, shown.amount::varchar as amount,
    ten_thousandths(shown.amount)::bigint as amount_sort, instant_text(shown.opened_at) as opened_at,
    instant_text(shown.due_at) as due_at, shown.overdue::integer as overdue, shown.detail, shown.next_step,
    delays.waits_for as waiting_for,
    json_merge_patch(coalesce(shown.evidence, '{}'), '{"waited_hours": null}')::varchar as evidence,
    json_list(histories.history)::varchar as history,
    histories.last_note.note as last_note, histories.last_note.decision as last_decision, histories.last_note."by" as noted_by,
    instant_text(histories.last_note."at") as noted_at, instant_text(shown.closed_at) as closed_at, shown.proof
from shown_exceptions as shown
left join policy.exception_kinds as rules using (kind)
left join reconciliation.delays as delays on delays.return_item_id = shown.return_item_id and shown.state <> 'closed'
left join histories using (exception_id)
order by exception_id;
