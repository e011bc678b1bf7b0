-- makes: moves
-- changes: push.ledger
-- kind:  table
-- grain: one row per effect key whose ledger row moves, with its whole new row
-- loop:  push.packets: a plan is recorded beside the packets of earlier pushes, before it has its own

-- `ledger.py` checks each move and merges them.
-- since: the batch up to which the ledger knows what Centra shows.
-- past_batch: settings that make effects due have changed; up to this batch everything was planned by the old ones.
-- changed_batch: the same, for those settings and the ones of amounts. payers_changed: who pays has changed.
-- is_first_plan: the ledger is empty. newest_batch: the batch up to which the sources are known.

-- One row per effect not finished whose refund row was issued while another user may have paid, in whatever batch it landed
-- (effects/payers_seen.sql). A row without a time was issued when it was last changed, at the latest.
create or replace temp table effects_issued_by_others as
with
payers_before as (
    select seen.*
    from payers_seen as seen
    anti join policy.pays_through using (refund_type, pays_through)
),

rows_of_others as (
    select refunds.refund_id, refunds.return_id, refunds.order_number, refunds.refund_type = 'exchange' as is_exchange
    from staging.refunds
    semi join payers_before
        on payers_before.refund_type
            = case refunds.refund_type when 'exchange' then 'refund' else refunds.refund_type end
            and coalesce(refunds.issued_at, refunds.source_time) > payers_before.after
            and coalesce(refunds.issued_at, refunds.source_time) <= payers_before.until
    -- A gift card with an id is given, no matter who pays.
    where refunds.status = 'issued' and refunds.gift_card_id is null
),

effects_of_rows as (
    select desired_effects.effect_key, desired_effects.effect_kind, rows_of_others.is_exchange
    from rows_of_others
    join staging.refund_units using (refund_id)
    join desired_effects on desired_effects.return_item_id = refund_units.return_item_id
    union all
    select desired_effects.effect_key, desired_effects.effect_kind, rows_of_others.is_exchange
    from rows_of_others
    join
        desired_effects
        on desired_effects.return_id = rows_of_others.return_id and desired_effects.order_number = rows_of_others.order_number
    where desired_effects.return_item_id is null
)

select distinct effect_key
from effects_of_rows
left join push.ledger using (effect_key)
where may_be_asked(effects_of_rows.effect_kind) and policy.subject_of(effects_of_rows.effect_kind) <> 'stock'
    -- The row of an exchange pays nothing.
    and not (effects_of_rows.effect_kind = 'exchange_order' and is_exchange)
    and ledger.state is distinct from 'confirmed';

create or replace temp table moves as
with
-- One row per effect that Centra shows as finished and that the ledger does not have as confirmed.
observed_effects as (
    select
        observed.effect_key,
        coalesce(ledger.effect_kind, desired_effects.effect_kind, observed.effect_kind) as effect_kind,
        -- The Return that is in Centra, not one that our earlier packet took back.
        coalesce(observed.packet_key, ledger.packet_key) as packet_key,
        coalesce(ledger.return_id, desired_effects.return_id) as return_id,
        coalesce(ledger.return_item_id, desired_effects.return_item_id) as return_item_id,
        coalesce(ledger.order_number, desired_effects.order_number, observed.order_number) as order_number,
        coalesce(ledger.shipment_line_id, desired_effects.shipment_line_id) as shipment_line_id,
        coalesce(ledger.warehouse_id, desired_effects.warehouse_id) as warehouse_id,
        coalesce(ledger.currency, desired_effects.currency) as currency,
        coalesce(ledger.amount, desired_effects.amount) as amount,
        'confirmed' as state,
        observed.centra_id,
        false as is_foreign,
        false as travels_alone,
        coalesce(ledger.input_sha256, desired_effects.input_sha256) as input_sha256,
        cast(null as varchar) as reason,
        coalesce(ledger.planned_at, $now) as planned_at,
        coalesce(observed.seen_at, $now) as confirmed_at,
        ledger.first_sent_at
    from (
        select * from effects.observed where is_complete and landed_batch > $since
        qualify row_number() over (partition by effect_key order by seen_at, centra_id) = 1
    ) as observed
    left join push.ledger using (effect_key)
    left join desired_effects using (effect_key)
    where ledger.state is distinct from 'confirmed'
),

-- One row per unit that another user or integration credited in Centra. An exchange unit is not credited by it: the
-- replacement may have been sent already.
foreign_returns as (
    select matched.*
    from matching.matched_items as matched
    semi join (select return_item_id from staging.return_items where refund_type <> 'exchange') as refund_units
        using (return_item_id)
    anti join (
        select return_item_id from push.ledger
        where effect_kind = 'credit_note' and state in ('confirmed', 'sending', 'unknown')
    ) as ours_or_known
        using (return_item_id)
    where matched.foreign_centra_return_id is not null
),

-- One row per credit of those Returns.
adopted_credits as (
    select
        effect_key('credit_note', [return_item_id]) as effect_key,
        'credit_note' as effect_kind,
        cast(null as varchar) as packet_key,
        return_id,
        return_item_id,
        order_number,
        shipment_line_id,
        cast(null as bigint) as warehouse_id,
        currency,
        unit_price - coalesce(voucher_share, 0) as amount,
        'confirmed' as state,
        cast(foreign_centra_return_id as varchar) as centra_id,
        true as is_foreign,
        false as travels_alone,
        cast(null as varchar) as input_sha256,
        reasons.sentence as reason,
        reasons.code as reason_code,
        $now as planned_at,
        $now as confirmed_at
    from foreign_returns
    join policy.reasons on reasons.code = 'credited_by_others'
    anti join observed_effects on observed_effects.effect_key = effect_key('credit_note', [foreign_returns.return_item_id])
),

-- One row per replacement that somebody ordered by hand, as a person has tied it: in place of the first one, or of one that was
-- to be ordered again by then.
tied_orders as (
    select
        ties.*, effect_key('exchange_order', exchange_ids(ties.return_item_id, 1 + (
            select count(*) from push.exchange_decisions as decisions
            where decisions.return_item_id = ties.return_item_id and decisions.decision = 'order_again'
                and decisions.decided_at <= ties.tied_at
        ))) as effect_key
    from push.ties where what = 'order' and return_item_id is not null
),

-- One row per exchange that such an order fulfills.
tied_exchanges as (
    select
        ties.effect_key,
        'exchange_order' as effect_kind,
        cast(null as varchar) as packet_key,
        items.return_id,
        ties.return_item_id,
        items.order_number,
        matched.shipment_line_id,
        cast(null as bigint) as warehouse_id,
        matched.currency,
        matched.unit_price as amount,
        'confirmed' as state,
        ties.centra_id,
        true as is_foreign,
        false as travels_alone,
        cast(null as varchar) as input_sha256,
        policy.in_words(reasons.sentence, [ties.tied_by]) as reason,
        reasons.code as reason_code,
        $now as planned_at,
        $now as confirmed_at
    from tied_orders as ties
    join staging.return_items as items using (return_item_id)
    join matching.matched_items as matched using (return_item_id)
    join policy.reasons on reasons.code = 'ordered_by_others'
    left join push.ledger as known on known.effect_key = ties.effect_key
    where known.state is null or known.state in ('planned', 'rejected', 'withdrawn')
),

-- One row per effect that is desired and not under way: up to which batch it is asked about (null: not).
questioned_effects as (
    select
        desired_effects.*,
        others.effect_key is not null as is_issued_by_others,
        is_issued_by_others or ($payers_changed and desired_effects.effect_kind <> 'inventory_adjustment') as is_about_payer,
        case when is_about_payer then coalesce(reports.paid_batch, reports.batch) else reports.batch end as said_batch,
        -- What Centra refused was due before, as what is planned.
        coalesce(ledger.state in ('planned', 'rejected'), false) as was_due,
        -- Due by what a person has decided, or settings changed that do not touch it. Neither says who has paid.
        not is_about_payer and (
            touched.effect_key is null or decided.effect_key is not null
        ) as is_due_otherwise,
        case
            when not may_be_asked(desired_effects.effect_kind) then null
            when is_issued_by_others
                then case
                        when was_due and ledger.asks_payer then coalesce(ledger.asked_batch, $newest_batch) else
                            $newest_batch
                    end
            -- Decided as before any question.
            when was_due and ledger.decided_sha256 = desired_effects.decided_sha256 then null
            -- Happy Returns has said something of it since, or a person has decided: then it is due by that.
            when was_due and ledger.asked_batch is not null
                then case
                        when
                            coalesce(
                                case when ledger.asks_payer then reports.paid_batch else reports.batch end
                                > ledger.asked_batch,
                                false
                            )
                            then null
                        when
                            decided.effect_key is not null
                            and not coalesce(ledger.asks_payer, false)
                            and not is_about_payer
                            then null
                        else ledger.asked_batch
                    end
            when is_due_otherwise and not $is_first_plan then null
            when was_due
                then case
                        when said_batch <= $changed_batch and (ledger.decided_sha256 is distinct from 'open')
                            -- Planned by an earlier version, which did not keep what was decided.
                            and (ledger.decided_sha256 is not null or desired_effects.effect_kind <> 'inventory_adjustment')
                            then $changed_batch
                    end
            when said_batch <= $past_batch then $past_batch
            -- The ledger was lost. A second movement of a unit that was only ever graded one way is due by a changed setting.
            when $is_first_plan and desired_effects.effect_kind = 'inventory_adjustment'
                and (desired_effects.evidence::json ->> 'ordinal')::integer > 1
                and desired_effects.return_item_id in (select return_item_id from steady_units) then coalesce(reports.batch, 0)
        end as asked_batch
    from desired_effects
    left join push.ledger using (effect_key)
    left join latest_reports as reports using (effect_key)
    left join effects_issued_by_others as others using (effect_key)
    left join touched_effects as touched using (effect_key)
    left join decided_effects as decided using (effect_key)
    where ledger.state is null or ledger.state in ('planned', 'rejected', 'withdrawn')
),

-- One row per effect to plan: new, desired again, decided otherwise, or refused before and asked for differently now. A
-- replacement that was out of stock is asked for again when its stock has changed.
planned_effects as (
    select
        desired.effect_key,
        desired.effect_kind,
        desired.asked_batch,
        case
            when desired.asked_batch is null then null
            when desired.was_due and ledger.asked_batch is not null then ledger.asks_payer or desired.is_issued_by_others
            else desired.is_about_payer
        end as asks_payer,
        -- What was decided last without a question stays, until the question is answered.
        case
            when desired.asked_batch is null then desired.decided_sha256
            when desired.was_due then ledger.decided_sha256
        end as decided_sha256,
        cast(null as varchar) as packet_key,
        desired.return_id,
        desired.return_item_id,
        desired.order_number,
        desired.shipment_line_id,
        desired.warehouse_id,
        desired.currency,
        desired.amount,
        'planned' as state,
        cast(null as varchar) as centra_id,
        false as is_foreign,
        coalesce(ledger.state = 'planned' and ledger.travels_alone, false) as travels_alone,
        desired.input_sha256,
        cast(null as varchar) as reason,
        case when ledger.state = 'planned' then ledger.planned_at else $now end as planned_at,
        ledger.first_sent_at
    from questioned_effects as desired
    left join push.ledger using (effect_key)
    left join staging.replacement_stock as stock on desired.effect_kind = 'exchange_order' and stock.sku = desired.sku
    anti join observed_effects using (effect_key)
    anti join adopted_credits using (effect_key)
    anti join tied_exchanges using (effect_key)
    where
        ledger.state is null
        or ledger.state = 'withdrawn'
        or (ledger.state in ('planned', 'rejected') and ledger.input_sha256 is distinct from desired.input_sha256)
        or (ledger.state = 'planned' and (
            ledger.asked_batch is distinct from desired.asked_batch
            or (desired.asked_batch is null and ledger.decided_sha256 is distinct from desired.decided_sha256)
        ))
        or (
            ledger.state = 'rejected'
            and ledger.reason_code = 'out_of_stock'
            and stock.fetched_at >= ledger.updated_at
        )
        -- A tax engine that was down is asked again once a day.
        or (
            ledger.state = 'rejected'
            and ledger.updated_at <= $now::timestamptz - interval 24 hours
            and ledger.packet_key in (
                select packet_key from push.packets where state = 'rejected' and (payload ->> 'differs_in') = 'tax'
            )
        )
),

-- One row per effect that was not sent and is not desired any more.
withdrawn_effects as (
    select
        ledger.* replace (
            'withdrawn' as state, not_desired.sentence as reason, not_desired.code as reason_code,
            cast(null as varchar) as packet_key
        )
    from push.ledger
    join policy.reasons as not_desired on not_desired.code = 'not_desired'
    anti join desired_effects using (effect_key)
    anti join observed_effects using (effect_key)
    anti join adopted_credits using (effect_key)
    anti join tied_exchanges using (effect_key)
    where ledger.state in ('planned', 'rejected')
)

select *, $now as updated_at from observed_effects
union all by name
select *, $now as updated_at from adopted_credits
union all by name
select *, $now as updated_at from tied_exchanges
union all by name
select *, $now as updated_at from planned_effects
union all by name
select * replace ($now as updated_at) from withdrawn_effects;

-- What is half done is asked about, too: before its next step the sender asks the plan.
update push.ledger
set
    asked_batch = case when ledger.decided_sha256 is distinct from desired_effects.decided_sha256 then $changed_batch end,
    asks_payer = $payers_changed
from desired_effects
left join latest_reports as reports using (effect_key)
where ledger.effect_key = desired_effects.effect_key
    and ledger.state in ('sending', 'unknown')
    and ledger.decided_sha256 is not null
    and (
        (
            ledger.asked_batch is not null and ledger.decided_sha256 = desired_effects.decided_sha256
            and ledger.effect_key not in (select effect_key from effects_issued_by_others)
        )
        or (
            ledger.asked_batch is null and ledger.decided_sha256 not in ('open', desired_effects.decided_sha256)
            and case
                when $payers_changed and ledger.effect_kind <> 'inventory_adjustment'
                    then coalesce(reports.paid_batch, reports.batch) <= $changed_batch
                else reports.batch <= $changed_batch and ledger.effect_key in (select effect_key from touched_effects)
                    and ledger.effect_key not in (select effect_key from decided_effects)
            end
        )
    );

update push.ledger set asked_batch = $newest_batch, asks_payer = true
from effects_issued_by_others as others
where ledger.effect_key = others.effect_key and ledger.state in ('sending', 'unknown') and ledger.asked_batch is null;
