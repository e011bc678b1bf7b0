-- makes: reconciliation.exception_events, reconciliation.exceptions
-- changes: open_now
-- kind:  table
-- grain: one row per event of an exception; one row per open exception

-- The append-only history, and the open exceptions as it tells them. An exception closes only by what proves it; one whose
-- finding is gone without a proof stays open as it was last told.

-- What a person wrote off stays closed as long as no more money is at stake than was written off.
delete from open_now where exception_id in (
        select before.exception_id
        from told_before as before
        join open_now using (exception_id)
        where before.is_written_off and not before.is_open
            and open_now.currency is not distinct from (before.told ->> 'currency')
            and coalesce(open_now.amount, 0) <= coalesce((before.told ->> 'amount')::decimal(18, 4), 0)
    );

-- One row per exception that was open and is not found any more: what proves that it is over (null: nothing does).
create or replace temp table gone as
with
unseen as (
    select
        exception_id, kind, told ->> 'subject' as subject, told ->> 'identity' as identity,
        told ->> 'return_id' as return_id,
        told ->> 'return_item_id' as return_item_id,
        told ->> 'order_number' as order_number,
        told ->> 'currency' as currency, (told -> 'evidence') ->> 'effect_key' as effect_key
    from told_before
    anti join open_now using (exception_id)
    where is_open
),

-- The effect that an exception is about: by its key, else the unit's credit or replacement.
effects_of as (
    select
        unseen.exception_id, ledger.state, ledger.centra_id, ledger.effect_kind,
        coalesce(ledger.reason_code = 'waits_for_credit', false) as waits_for_its_credit
    from unseen
    join push.ledger on ledger.effect_key = unseen.effect_key
),

-- The kind that stands for the same subject of the same unit now; the counterpart when it opens just now.
successors as (
    select
        unseen.exception_id, other.kind,
        case
            when not coalesce(before.is_open, false)
                and row_number() over (partition by other.exception_id order by unseen.exception_id) = 1
                then other.exception_id
        end as counterpart
    from unseen
    join open_now as other on other.return_item_id = unseen.return_item_id and other.subject = unseen.subject
    left join told_before as before on before.exception_id = other.exception_id
    qualify row_number() over (partition by unseen.exception_id order by other.kind, other.exception_id) = 1
)

select
    unseen.exception_id,
    unseen.kind,
    successors.counterpart,
    coalesce(
        'became ' || successors.kind,
        case
            when unseen.kind like 'exchange%'
                and effects_of.state is distinct from 'confirmed'
                and unseen.return_item_id in (
                    select return_item_id from effects.value_given_back where is_paid_instead
                )
                then 'the money was given instead: Return '
                    || coalesce(matched.foreign_centra_return_id, replaced.centra_return_id)
            when unseen.kind = 'exchange_canceled' and replaced.decision is not null
                then
                    case replaced.decision when 'order_again' then 'to be ordered again' else 'to be paid' end
                    || ', decided by '
                    || replaced.decided_by
            when
                unseen.kind = 'exchange_canceled' and replaced.refund_type <> 'exchange'
                then 'Happy Returns gives the money instead'
            when unseen.kind in ('exchange_canceled', 'exchange_not_shipped') and replaced.state = 'shipped'
                then
                    'replacement order '
                    || replaced.replacement_order_number
                    || ' was shipped on '
                    || strftime(replaced.shipped_at, '%Y-%m-%d')
            when unseen.kind = 'exchange_canceled' and replaced.state = 'ordered'
                then
                    'the replacement is ordered again: ' || replaced.replacement_order_number
            when unseen.kind = 'credited_item_refused' and unseen.subject = 'exchange' and replaced.state = 'canceled'
                then
                    'the replacement was canceled before it left'
            when effects_of.state = 'confirmed'
                then
                    'the '
                    || replace(effects_of.effect_kind, '_', ' ')
                    || ' is in Centra: '
                    || coalesce(effects_of.centra_id, 'observed')
            -- that unit or order are not told any more does not make it undue
            when effects_of.state = 'withdrawn' and exists (
                    from staging.return_items as items
                    semi join staging.orders using (order_number)
                    where items.return_id = unseen.return_id and items.order_number = unseen.order_number
                        and coalesce(unseen.return_item_id, items.return_item_id) = items.return_item_id
                )
                then
                    'the ' || replace(effects_of.effect_kind, '_', ' ') || ' is not due any more'
            when effects_of.state = 'rejected' and unseen.kind <> 'rejected_write' and unseen.kind <> 'exchange_refused'
                then
                    'Centra has answered: refused'
            when effects_of.state = 'planned' and unseen.kind in ('rejected_write', 'exchange_refused')
                then
                    'planned again after its input or the policy changed'
            when effects_of.state = 'planned' and unseen.kind = 'write_in_doubt'
                then
                    'looked up and proven absent: it is planned again'
            when unseen.kind = 'guard_breached' and exists (from last_push) then 'the last push was not stopped by it'
            when unseen.kind in ('double_credit', 'double_restock')
                and unseen.order_number in (from matching.orders_in_play)
                then
                    'Centra shows it given back once'
            when unseen.kind = 'refund_without_credit_note' and exists (
                    select 1 from push.ties where 'Payment entry ' || ties.centra_id = unseen.identity
                )
                then (
                    select 'tied by ' || min(ties.tied_by)
                    from push.ties
                    where 'Payment entry ' || ties.centra_id = unseen.identity
                )
            when unseen.kind = 'status_not_updated' and effects_of.state = 'planned' and effects_of.waits_for_its_credit
                then
                    'the money of its order was sent just now: the next sync writes both in one note'
            when unseen.kind = 'refund_without_credit_note' and unseen.order_number in (from orders_of_refunds) then
                'the refund has its Return in Centra'
        end,
        case
            when unseen.kind in ('quarantined_row', 'source_not_covered') and exists (
                    select
                        1 from (
                        select * from landing.files
                        where source_file = unseen.identity qualify row_number() over (order by batch desc) = 1
                    ) as latest
                    where latest.problem is null and latest.rows_rejected = 0
                ) then 'the file was delivered again and read whole'
            when unseen.kind in ('quarantined_row', 'source_not_covered') and exists (
                    select 1 from landing.files where source_file = unseen.identity
                ) then 'the file was delivered again'
            when unseen.kind = 'source_not_covered' and exists (
                    select 1 from (
                        select * from landing.centra_pulls where 'centra ' || "object" = unseen.identity
                        qualify row_number() over (order by batch desc, fetched_at desc) = 1
                    ) as latest where latest.is_complete
                ) then 'the next pull ended'
            when unseen.kind = 'quarantined_row' and exists (
                    select 1 from landing.payout_lines as landed
                    join staging.payout_lines as lines using (source_file, source_line)
                    where landed.source_file = unseen.identity
                        and landed.set_aside = 'line_type'
                        and lines.line_type <> 'unknown'
                        and landed.batch = (
                            select max(files.batch)
                            from landing.payout_files as files
                            where files.source_file = unseen.identity
                        )
                ) then 'the layout maps its lines now'
            when unseen.kind in ('quarantined_row', 'source_not_covered') and exists (
                    select
                        1 from (
                        select * from landing.payout_files
                        where source_file = unseen.identity qualify row_number() over (order by batch desc) = 1
                    ) as latest
                    where latest.problem is null
                ) then 'the settlement file was delivered again and adds up'
            when unseen.kind = 'return_without_order' and exists (
                    select 1 from staging.orders where orders.order_number = unseen.order_number
                ) then 'Centra has order ' || unseen.order_number
            when unseen.kind = 'return_without_order' and not exists (
                    select 1 from staging.return_items as items
                    where items.return_id = unseen.return_id and items.order_number = unseen.order_number
                ) then 'no unit of the return names that order any more'
            when unseen.kind = 'item_without_shipment_line' and known.return_item_id is not null
                then
                    'it is shipment line ' || matched.shipment_line_id
            when unseen.kind = 'centra_return_without_return' and returns.deleted_at is not null
                then
                    'the Return was deleted in Centra'
            when unseen.kind = 'centra_return_without_return' and exists (
                    select 1
                    from push.ties
                    where ties.what = 'return'
                        and 'Return ' || ties.centra_id = unseen.identity
                        and ties.return_item_id is null
                ) then 'a person has tied it to no return'
            when unseen.kind = 'item_without_shipment_line' and matched.reason in ('goods_never_came', 'refused')
                then
                    'nothing is due for it: it was refused, or its goods never came'
            when unseen.kind = 'centra_return_without_return' and returns.centra_return_id is not null
                then
                    'the Return belongs to units of Happy Returns now'
            when unseen.kind like 'refund_mismatch%' and exists (
                    from staging.refunds
                    where refunds.return_id = unseen.return_id
                        and refunds.order_number = unseen.order_number
                        and refunds.status = 'failed'
                ) and not exists (
                    from staging.refunds
                    where refunds.return_id = unseen.return_id
                        and refunds.order_number = unseen.order_number
                        and refunds.status <> 'failed'
                ) then 'the refund has failed at Happy Returns'
            when unseen.subject = 'settled_tax'
                then (
                    select 'what was paid and Centra''s final total are within the limit'
                    from reconciliation.tax_readings as readings
                    where 'Return ' || readings.centra_return_id = unseen.identity
                        and readings.verdict in ('as_planned', 'within_limit')
                )
            when unseen.subject = 'row_currency'
                then (
                    select 'the refund row is in its order''s currency'
                    from staging.refunds
                    join staging.orders using (order_number, currency)
                    where refunds.refund_id = unseen.identity
                )
            when unseen.kind like 'refund_mismatch%'
                then (
                    select
                        case
                            when
                                matched.is_compared and (matched.culprit is null or matched.within_tolerance)
                                then 'the sides agree within the tolerance'
                            when matched.is_compared and matched.culprit = 'provider' then 'became payout_mismatch'
                            when matched.is_compared then 'became refund_mismatch_tax'
                        end
                    from reconciliation.refund_match as matched
                    where matched.return_id is not distinct from unseen.return_id
                        and matched.order_number = unseen.order_number
                        and matched.component = unseen.subject and matched.currency is not distinct from unseen.currency
                )
            when
                unseen.kind = 'credit_note_without_refund' and returns.deleted_at is not null
                then 'the Return was deleted in Centra'
            when unseen.kind = 'credit_note_without_refund' and exists (
                    from return_states as states
                    where states.centra_return_id = returns.centra_return_id and states.paid > 0
                ) then 'refunded in Centra'
            when unseen.kind = 'credit_note_without_refund' and exists (
                    from paid_through as payers
                    where payers.return_id = unseen.return_id and payers.order_number = unseen.order_number
                        and payers.refund_id is not null and payers.row_payer = 'elsewhere'
                ) then 'paid elsewhere, as Happy Returns tells'
            when unseen.kind = 'payout_mismatch' and exists (
                    from reconciliation.payouts
                    where payouts.payout_tie_id = unseen.identity
                        and verdict in ('agrees', 'paid_again', 'chargeback_settled')
                ) then 'the payment provider''s settlement agrees'
            when unseen.kind = 'payout_mismatch' and exists (
                    from tied_lines where 'line ' || tied_lines.payout_line_id = unseen.identity
                ) then 'Centra shows the refund now'
            when unseen.kind = 'payout_mismatch' and starts_with(unseen.identity, 'line ') and not exists (
                    from staging.payout_lines where 'line ' || payout_lines.payout_line_id = unseen.identity
                ) and exists (
                    from staging.payout_lines
                    where starts_with(
                            unseen.identity,
                            concat_ws(
                                ' ',
                                'line',
                                payout_lines.provider,
                                nullif(payout_lines.account, ''),
                                payout_lines.payout_id,
                                ''
                            )
                        )
                ) then 'the settlement was delivered again without the line'
            when unseen.kind = 'stock_change_without_return' and exists (
                    from told_stock_changes
                    where 'Stock change ' || told_stock_changes.stock_change_id = unseen.identity
                ) then 'the stock change names a return that is told'
            when
                unseen.kind = 'disposition_missing' and known.disposition is not null
                then 'graded ' || known.disposition
            when unseen.kind = 'stalled_return' and known.disposition is not null then 'graded ' || known.disposition
            when unseen.kind = 'stalled_return' and known.approved_at is not null and unseen.subject = 'credit'
                then
                    'approved on ' || strftime(known.approved_at, '%Y-%m-%d')
            when
                unseen.kind = 'stalled_return' and known.is_refused and unseen.subject = 'credit'
                then 'refused by Happy Returns'
            when unseen.kind = 'stalled_return' and unseen.subject = 'stock' and known.arrived_at is not null
                then
                    'arrived on ' || strftime(known.arrived_at, '%Y-%m-%d')
            when unseen.kind = 'stalled_return' and unseen.subject = 'stock' then 'seen again on its way'
            when unseen.kind = 'unmapped_disposition' and known.is_mapped then 'the policy maps ' || known.disposition
            when unseen.kind in ('corrected_after_credit', 'corrected_after_restock')
                and known.return_item_id is not null
                then
                    'Happy Returns says again what was done, or what was done is taken back'
            when unseen.kind = 'promised_item_refused' and known.return_item_id is not null and not known.is_refused
                then
                    coalesce('graded ' || known.disposition, 'approved') || ' after all'
            when unseen.kind = 'promised_item_refused' and unseen.order_number in (from matching.orders_in_play)
                then
                    'no refund row says any more that it is refunded, or it was credited'
            when
                unseen.kind = 'credited_item_refused' and not known.is_refused
                then 'graded ' || known.disposition || ' after all'
            when
                known.is_refused and unseen.subject in ('credit', 'exchange')
                then 'refused by Happy Returns: nothing is due'
        end
    ) as proof
from unseen
left join effects_of using (exception_id)
left join successors using (exception_id)
left join known_units as known on known.return_item_id = unseen.return_item_id
left join latest_replacements as replaced on replaced.return_item_id = unseen.return_item_id
left join matching.matched_items as matched on matched.return_item_id = unseen.return_item_id
left join staging.centra_returns as returns on 'Return ' || returns.centra_return_id = unseen.identity;

-- What is open and was not, and what is said otherwise now than it was: owner ('assigned'), money or cause ('changed').
insert into reconciliation.exception_events by name
with
said as (
    select
        open_now.*,
        to_json(struct_pack(
            subject := subject,
            identity := identity,
            class := class,
            cause := cause,
            culprit := culprit,
            owner_team := owner_team,
            window_hours := window_hours,
            return_id := return_id,
            return_item_id := return_item_id,
            order_number := order_number,
            sku := sku,
            currency := currency,
            amount := amount::varchar,
            detail := detail,
            next_step := next_step,
            evidence := evidence
        )) as told_now
    from open_now
)

select
    exception_id,
    case
        when before.exception_id is null then 'opened'
        when not before.is_open then 'reopened'
        when (before.told ->> 'owner_team' is distinct from owner_team) then 'assigned'
        else 'changed'
    end as event,
    case when before.exception_id is null then opens_at else $now end as "at",
    'hr-centra' as "by",
    said.kind,
    told_now::varchar as subject,
    $run as run_number,
    $now as recorded_at,
    gone.exception_id as counterpart
from said
left join told_before as before using (exception_id)
left join gone on gone.counterpart = said.exception_id and gone.proof is not null
where not coalesce(before.is_open, false)
    or [
        before.told ->> 'owner_team', before.told ->> 'currency', before.told ->> 'amount', before.told ->> 'class',
        before.told ->> 'cause', before.told ->> 'culprit'
    ] is distinct from [owner_team, currency, amount::varchar, class, cause, culprit]
order by opens_at, exception_id;

insert into reconciliation.exception_events by name
select
    exception_id,
    'closed' as event,
    $now as "at",
    'hr-centra' as "by",
    proof,
    kind,
    $run as run_number,
    $now as recorded_at,
    counterpart
from gone where proof is not null
order by exception_id;

delete from reconciliation.exceptions;
insert into reconciliation.exceptions by name
with
current as (
    select * exclude (subject, identity, fact_at, opens_at) from open_now
    union all by name
    -- Not found any more, and nothing proves that it is over.
    select
        exception_id, kind, told ->> 'class' as class, told ->> 'cause' as cause, told ->> 'culprit' as culprit,
        told ->> 'owner_team' as owner_team,
        (told ->> 'window_hours')::bigint as window_hours,
        told ->> 'return_id' as return_id,
        told ->> 'return_item_id' as return_item_id, told ->> 'order_number' as order_number, told ->> 'sku' as sku,
        told ->> 'currency' as currency, (told ->> 'amount')::decimal(18, 4) as amount,
        (told ->> 'detail') || ' (not covered any more: nothing proves that it is over)' as detail,
        -- what it was once held back by is not looked at any more
        told ->> 'next_step' as next_step, json_merge_patch(told -> 'evidence', '{"waits_for_live": null}') as evidence
    from told_before
    semi join (select exception_id from gone where proof is null) as kept using (exception_id)
),

opened as (
    select
        exception_id, min("at") as opened_at, max("at") as last_opened_at
    from reconciliation.exception_events where event in ('opened', 'reopened')
    group by exception_id
),

dated as (
    select
        current.* exclude (window_hours),
        opened.opened_at,
        greatest(date_diff('minute', opened_at, $now::timestamptz) // 60, 0) as age_hours,
        last_opened_at + to_hours(greatest(window_hours, 24)::integer) as due_at,
        -- Nothing but the dry run holds it back: it is shown, and nobody is late.
        coalesce(evidence ->> 'waits_for_live', 'false') = 'true' as waits_for_live
    from current
    join opened using (exception_id)
)

select
    dated.* exclude (waits_for_live),
    case
        when class = 'timing' or waits_for_live then 'info'
        when kind in (
                'rejected_write',
                'write_in_doubt',
                'double_credit',
                'double_restock',
                'guard_breached',
                'credited_item_refused',
                'promised_item_refused',
                'corrected_after_credit',
                'corrected_after_restock',
                'exchange_refused',
                'exchange_differs',
                'exchange_canceled', 'source_not_covered'
            ) or due_at <= $now then 'error'
        else 'warning'
    end as severity,
    due_at <= $now and not waits_for_live as overdue,
    case
        when age_hours < 4 * 24 then '0-3'
        when age_hours < 8 * 24 then '4-7'
        when age_hours < 15 * 24 then '8-14'
        when age_hours < 31 * 24 then '15-30'
        when age_hours < 61 * 24 then '31-60'
        when age_hours < 91 * 24 then '61-90'
        else 'over 90'
    end as age_bucket
from dated;
