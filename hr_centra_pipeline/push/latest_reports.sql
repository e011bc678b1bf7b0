-- makes: latest_reports
-- kind:  step
-- grain: one row per desired effect: in which batch Happy Returns last reported something new of it

-- None unless $is_asked. batch: of its unit's own facts (of a fee or shipping: its return's); paid_batch: whether it paid. A row that only repeats what was known, or comes late with an older state, says nothing.
-- Rows are in the order of their batches; one that a corrected profile has typed again says it since its said_batch. The columns
-- compared here are those of `_FACTS` in sources/happy_returns/retyping.py.
create or replace temp table latest_reports as
with
-- One row per effect that is asked about.
effects_in_question as (
    select
        desired_effects.effect_key,
        desired_effects.effect_kind,
        desired_effects.return_item_id,
        desired_effects.return_id,
        desired_effects.order_number
    from desired_effects
    where $is_asked and may_be_asked(effect_kind)
),

-- One row per unit of those returns of which an event or the partner API reports, too.
items_reported_in_parts as (
    select distinct return_item_id from landing.happy_returns_items semi join effects_in_question using (return_id)
    where feed <> 'files'
),

-- One row per such unit, batch that reported it, and row that was there by then. What came before the last whole state, that of a
-- file, counts no more.
item_arrivals as (
    select distinct return_item_id, batch
    from landing.happy_returns_items semi join items_reported_in_parts using (return_item_id)
),

items_by_then as (
    select
        item_arrivals.batch as as_of, landed.*, row(landed.source_time, landed.batch, landed.source_line) as place,
        max(case
            when landed.feed = 'files' and landed.is_whole is not false
                then row(landed.source_time, landed.batch, landed.source_line)
        end) over (
            partition by landed.return_item_id, item_arrivals.batch
        ) as whole_from
    from landing.happy_returns_items as landed
    join item_arrivals on item_arrivals.return_item_id = landed.return_item_id and landed.batch <= item_arrivals.batch
    qualify whole_from is null or place >= whole_from
),

-- One row per unit of those returns and batch that brought its newest state; where rows say what they say, per batch that
-- reported it: its state by all that was there by then.
reported_items as (
    select
        return_item_id, batch, coalesce(said_batch, batch) as said_batch, return_id, order_number, order_line_item_id, sku, upc,
        received_channel, dropoff_method, refund_type, exchange_sku, disposition, condition, approved_at, received_at,
        hub_received_at, warehouse_received_at
    from landing.happy_returns_items
    semi join effects_in_question using (return_id)
    anti join items_reported_in_parts using (return_item_id)
    qualify source_time = max(source_time) over (partition by return_item_id order by batch)
        and row_number() over (partition by return_item_id, batch order by source_time desc, source_line desc) = 1
    union all by name
    select
        return_item_id, as_of as batch,
        max(coalesce(said_batch, batch)) filter (where batch = as_of) as said_batch,
        arg_max(columns([
            'return_id', 'order_number', 'order_line_item_id', 'sku', 'upc', 'received_channel', 'dropoff_method', 'refund_type',
            'exchange_sku', 'disposition', 'condition', 'approved_at', 'received_at', 'hub_received_at', 'warehouse_received_at'
        ]), place)
    from items_by_then
    group by return_item_id, as_of
),

items as (
    select
        landed.return_item_id, landed.batch, landed.said_batch, landed.return_id, landed.order_number,
        coalesce(landed.disposition, landed.condition) as grade,
        {
            'order': landed.order_number, 'line': landed.order_line_item_id, 'sku': landed.sku, 'upc': landed.upc,
            'channel': landed.received_channel, 'method': landed.dropoff_method
        } as article,
        {
            'refund_type': landed.refund_type, 'exchange_sku': landed.exchange_sku, 'approved': landed.approved_at,
            -- Only the date by which it is due now: another one does not make it due.
            'trigger': case units.credit_trigger
                when 'first_scan' then landed.received_at
                when 'hub_received' then landed.hub_received_at
                when 'warehouse_received' then in_warehouse_at(
                        is_by_mail(landed.dropoff_method), landed.received_at, landed.warehouse_received_at
                    )
            end
        } as due
    from reported_items as landed
    left join effects.units as units on units.return_item_id = landed.return_item_id
),

item_changes as (
    select
        return_item_id, return_id, order_number,
        arg_max(said_batch, batch) filter (
            is_first or article is distinct from article_before or grade is distinct from grade_before
        ) as stock_batch,
        -- The first grade refuses at most: it makes no money due.
        arg_max(said_batch, batch) filter (
            is_first or article is distinct from article_before or due is distinct from due_before
            or (grade_before is not null and grade is distinct from grade_before)
        ) as credit_batch
    from (
        select
            *, row_number() over states = 1 as is_first,
            lag(article) over states as article_before,
            lag(due) over states as due_before,
            lag(grade) over states as grade_before
        from items
        window states as (partition by return_item_id order by batch)
    )
    group by all
),

-- The same of returns.
returns_reported_in_parts as (
    select distinct return_id, order_number from landing.happy_returns_returns semi join effects_in_question using (return_id)
    where feed <> 'files'
),

return_arrivals as (
    select distinct return_id, order_number, batch
    from landing.happy_returns_returns semi join returns_reported_in_parts using (return_id, order_number)
),

returns_by_then as (
    select
        return_arrivals.batch as as_of, landed.*, row(landed.source_time, landed.batch, landed.source_line) as place,
        max(case
            when landed.feed = 'files' and landed.is_whole is not false
                then row(landed.source_time, landed.batch, landed.source_line)
        end) over (
            partition by landed.return_id, landed.order_number, return_arrivals.batch
        ) as whole_from
    from landing.happy_returns_returns as landed
    join return_arrivals
        on return_arrivals.return_id = landed.return_id and return_arrivals.order_number = landed.order_number
            and landed.batch <= return_arrivals.batch
    qualify whole_from is null or place >= whole_from
),

returns as (
    select
        return_id, order_number, batch, coalesce(said_batch, batch) as said_batch,
        { 'created': created_at, 'failed': refund_status = 'failed' } as facts
    from landing.happy_returns_returns
    semi join effects_in_question using (return_id)
    anti join returns_reported_in_parts using (return_id, order_number)
    qualify source_time = max(source_time) over (partition by return_id, order_number order by batch)
        and row_number() over (partition by return_id, order_number, batch order by source_time desc, source_line desc) = 1
    union all by name
    select
        return_id, order_number, as_of as batch, max(coalesce(said_batch, batch)) filter (where batch = as_of) as said_batch,
        {
            'created': arg_max(created_at, place),
            'failed': arg_max(refund_status, return_status_rank(refund_status)) = 'failed'
        } as facts
    from returns_by_then
    group by return_id, order_number, as_of
),

return_changes as (
    select return_id, order_number, arg_max(said_batch, batch) as batch
    from (
        select * from returns
        qualify facts is distinct from lag(facts) over (partition by return_id, order_number order by batch)
    )
    group by all
),

refunds as (
    select
        landed.refund_id, landed.return_id, landed.order_number, landed.batch,
        coalesce(landed.said_batch, landed.batch) as said_batch,
        { 'issued': landed.status = 'issued', 'card': landed.gift_card_id } as paid,
        {
            'status': landed.status,
            'type': landed.refund_type,
            'currency': landed.currency,
            'items': landed.item_subtotal,
            'discount': landed.discount,
            'tax': landed.tax,
            'shipping': landed.shipping_refund,
            'fee': landed.processing_fee,
            'basis': landed.fee_basis, 'units': landed.item_ids
        } as facts
    from landing.happy_returns_refunds as landed
    semi join effects_in_question using (return_id)
    qualify landed.source_time = max(landed.source_time) over (partition by landed.refund_id order by landed.batch)
        and row_number() over (
            partition by landed.refund_id, landed.batch order by landed.source_time desc, landed.source_line desc
        ) = 1
),

refund_changes as (
    select
        refund_id, return_id, order_number,
        arg_max(said_batch, batch) filter (is_first or paid is distinct from paid_before) as paid_batch,
        arg_max(said_batch, batch) filter (
            is_first or paid is distinct from paid_before or facts is distinct from facts_before
        ) as batch
    from (
        select
            *,
            row_number() over states = 1 as is_first,
            lag(paid) over states as paid_before,
            lag(facts) over states as facts_before
        from refunds
        window states as (partition by refund_id order by batch)
    )
    group by all
),

-- One row per unit with a refund row.
changes_by_unit as (
    select refund_units.return_item_id, max(changes.batch) as batch, max(changes.paid_batch) as paid_batch
    from refund_changes as changes join staging.refund_units using (refund_id)
    group by all
),

-- One row per return and order: for what belongs to the whole of it.
changes_by_return as (
    select return_id, order_number, max(batch) as batch, max(paid_batch) as paid_batch
    from (
        select return_id, order_number, batch, paid_batch from refund_changes
        union all by name
        select return_id, order_number, credit_batch as batch from item_changes
    )
    group by all
)

select
    questions.effect_key,
    case
        when questions.effect_kind = 'inventory_adjustment' then greatest(items.stock_batch, returns.batch)
        when questions.return_item_id is null then greatest(changes_by_return.batch, returns.batch)
        else greatest(items.credit_batch, returns.batch, changes_by_unit.batch)
    end as batch,
    case when questions.return_item_id is null then changes_by_return.paid_batch else changes_by_unit.paid_batch end as paid_batch
from effects_in_question as questions
left join item_changes as items on items.return_item_id = questions.return_item_id
left join return_changes as returns on returns.return_id = questions.return_id and returns.order_number = questions.order_number
left join changes_by_unit on changes_by_unit.return_item_id = questions.return_item_id
left join
    changes_by_return
    on changes_by_return.return_id = questions.return_id and changes_by_return.order_number = questions.order_number;
