-- makes: month_end.late_items, month_end.money_saved, month_end.month_exchanges,
--        month_end.open_in_dry_run, month_end.open_items, month_end.refund_differences, items_of_month
-- kind:  table
-- grain: one row per open item, difference, exchange, late item or saving of the month

-- The lists of a month: what was open at its cut-off, what differed, what is exchanged, what came late, what money is at risk.
create or replace temp table items_of_month as
with
-- The last word about each exception in events posted until the month. What was opened keeps its first date.
last_words as (
    select
        exception_id,
        arg_max(event, place) filter (where event <> 'noted') as event,
        arg_max(subject::json, place) filter (where event in ('opened', 'reopened', 'changed', 'assigned')) as told,
        arg_max(is_dry_run, place) filter (where event in ('opened', 'reopened', 'changed', 'assigned')) as is_dry_run,
        any_value(kind) as kind,
        min("at") filter (where event in ('opened', 'reopened')) as opened_at,
        -- Time to act on it begins when it opens, or when the dry run ends.
        max("at") filter (
            where event in ('opened', 'reopened') or (event in ('changed', 'assigned') and was_dry_run and not is_dry_run)
        ) as to_do_since
    from (
        select
            *, lag(is_dry_run) over (partition by exception_id, event in ('noted', 'closed') order by place) as was_dry_run
        from known_events
        where posted_month <= (select month from report_period)
    )
    group by exception_id
),

notes as (
    select
        exception_id,
        arg_max(note, place) as note,
        arg_max(decision, place) as decision,
        arg_max("by", place) as noted_by
    from known_events where event = 'noted' group by exception_id
),

-- What the present says in other words without being another matter (its detail names days, for example).
present_words as (
    select exception_id, detail, next_step, evidence
    from (
        from reconciliation.exceptions
        union all by name
        from reconciliation.dry_run_items
    )
    where (select as_of from report_period)
        >= coalesce((select max(recorded_at) from reconciliation.exception_events), '-infinity'::timestamptz)
        and (select cut_off = as_of from report_period)
)

select
    report_period.month,
    exception_id,
    kind,
    told ->> 'class' as class,
    told ->> 'cause' as cause,
    told ->> 'culprit' as culprit,
    told ->> 'owner_team' as owner_team, told ->> 'return_id' as return_id, told ->> 'return_item_id' as return_item_id,
    told ->> 'order_number' as order_number, told ->> 'sku' as sku, told ->> 'currency' as currency,
    (told ->> 'amount')::decimal(18, 4) as amount, opened_at,
    greatest(date_diff('minute', opened_at, cut_off) // 1440, 0) as age_days,
    age_bucket_of(age_days) as age_bucket,
    to_do_since + to_hours(greatest((told ->> 'window_hours')::integer, 24)) as due_at,
    due_at <= cut_off and not is_dry_run as is_overdue,
    case when strftime(opened_at, '%Y-%m') < report_period.month then strftime(opened_at, '%Y-%m') end as carried_from,
    coalesce(present_words.detail, told ->> 'detail') as detail,
    coalesce(present_words.next_step, told ->> 'next_step') as next_step,
    coalesce(present_words.evidence, told ->> 'evidence') as evidence,
    notes.note, notes.decision, notes.noted_by, is_dry_run
from last_words
cross join report_period
left join notes using (exception_id)
left join present_words using (exception_id)
where event <> 'closed';

delete from month_end.open_items where month = (select month from report_period);
insert into month_end.open_items by name
select * exclude (is_dry_run) from items_of_month where not is_dry_run;

-- Open only because nothing was sent: a list of its own, in no other figure of the month.
delete from month_end.open_in_dry_run where month = (select month from report_period);
insert into month_end.open_in_dry_run by name
select * exclude (is_dry_run) from items_of_month where is_dry_run;

-- The rows behind the month's figures; those whose sides agree too, so that every figure is the sum of its rows.
delete from month_end.refund_differences where month = (select month from report_period);
insert into month_end.refund_differences by name
select
    month_rows.*,
    verdict = 'within_tolerance' as within_tolerance,
    verdict = 'explained' as is_explained,
    count(*) over (partition by component, currency, difference) as repeats
from month_rows
where month = (select month from report_period);

delete from month_end.month_exchanges where month = (select month from report_period);
insert into month_end.month_exchanges by name
with
-- The replacement of each unit: our order, or the one that somebody made by hand, as a person has tied it. One that was
-- canceled until the cut-off is none.
unit_replacements as (
    select return_item_id, arg_max(order_number, (ordinal, order_number)) as replacement
    from (
        select
            return_item_id,
            coalesce(ordinal, 1) as ordinal,
            unnest(order_numbers) as order_number,
            replacement_order_number
        from effects.replacements
        union all
        select return_item_id, 0 as ordinal, centra_id as order_number, centra_id as replacement_order_number
        from push.ties where what = 'order' and return_item_id is not null
    )
    join staging.orders as orders using (order_number)
    join report_period on orders.created_at < cut_off
    where not (orders.is_cancelled is not distinct from true and orders.updated_at < cut_off)
        -- Centra may have split what one packet ordered: the order that holds the unit's piece.
        and (replacement_order_number is null or replacement_order_number = order_number)
    group by return_item_id
),

-- One row per order that was shipped.
shipping_dates as (
    select order_number, min(shipped_at) as shipped_at from staging.shipments where is_shipped group by order_number
),

-- Units for which the money was refunded instead, and when: on a Return by hand, or on that of the exchange.
refund_dates as (
    select returns.return_item_id, min(entries.created_at) as refunded_at
    from (
        select return_item_id, foreign_centra_return_id as centra_return_id from matching.matched_items
        union
        select return_item_id, centra_return_id from effects.replacements
    ) as returns
    semi join (select return_item_id from effects.value_given_back where is_paid_instead) as paid using (return_item_id)
    join staging.payment_entries as entries using (centra_return_id)
    where is_given_back(entries.money)
    group by returns.return_item_id
),

-- One row per exchanged unit with a reported price difference.
price_differences as (
    select units.return_item_id, sum(price_difference) as price_difference, bool_or(status = 'issued') as is_settled
    from staging.refund_units as units
    join staging.refunds using (refund_id)
    semi join staging.orders using (order_number, currency) -- in another currency it is not a difference to the unit's price
    where refund_type = 'exchange' and price_difference is not null
    group by units.return_item_id
)

select
    report_period.month, items.return_item_id, items.return_id, items.order_number,
    coalesce(value.root_order, items.order_number) as root_order_number,
    coalesce(value.chain_depth, 0) + 1 as chain_depth,
    coalesce(matched.sku, items.sku) as sku, items.exchange_sku,
    case
        when price_differences.price_difference = 0 then 'like_for_like'
        when price_differences.price_difference > 0 then 'upsell'
        when price_differences.price_difference < 0 then 'downsell'
    end as exchange_class,
    matched.currency, matched.unit_price, price_differences.price_difference, price_differences.is_settled,
    items.approved_at, unit_replacements.replacement as replacement_order_number,
    coalesce(shipping_dates.shipped_at < cut_off, false) as is_shipped,
    coalesce(refund_dates.refunded_at < cut_off, false) as is_refunded,
    coalesce(dates.booked_at < cut_off, false) as is_back
from staging.return_items as items
cross join report_period
left join matching.matched_items as matched using (return_item_id)
left join effects.units as units using (return_item_id)
left join effects.value_given_back as value using (return_item_id)
left join unit_replacements using (return_item_id)
left join shipping_dates on shipping_dates.order_number = unit_replacements.replacement
left join refund_dates using (return_item_id)
left join price_differences using (return_item_id)
left join unit_dates as dates using (return_item_id)
where items.refund_type = 'exchange' and items.approved_at < cut_off
    and (
        strftime(items.approved_at, '%Y-%m') = report_period.month
        -- Not finished. Those of before the cut-over are others' to finish; one that was refused first gets no replacement.
        or (
            units.is_after_cutover is distinct from false
            and not (
                coalesce(
                    shipping_dates.shipped_at < cut_off or refund_dates.refunded_at < cut_off
                    or (units.is_refused and unit_replacements.replacement is null), false
                )
                and coalesce(dates.booked_at < cut_off or dates.over_at < cut_off, false)
            )
        )
    );

-- Facts of closed months that we learnt after their close, and exceptions that belong there. Beyond the tolerance: when all of
-- a return's late facts of one side and component together move that month by more than its currency allows.
create or replace temp table late_facts as
select
    posted_month as month,
    own_month as of_month,
    side as source,
    fact_id,
    component,
    return_id,
    return_item_id,
    order_number,
    currency, amount as effect, happened_at, recorded_at, run_number
from known_facts
where posted_month > own_month
union all by name
select
    posted_month as month, own_month as of_month, 'exceptions' as source, exception_id as fact_id, kind as component,
    subject::json ->> 'return_id' as return_id, subject::json ->> 'return_item_id' as return_item_id,
    subject::json ->> 'order_number' as order_number,
    currency,
    case when currency is not null then amount end as effect,
    "at" as happened_at, recorded_at, run_number
from known_events
where event = 'opened' and not is_dry_run and posted_month > own_month;

delete from month_end.late_items;
insert into month_end.late_items by name
with
-- What the returns of late facts had on that side of the closed month before.
closed_sums as (
    select
        own_month as of_month, side as source, component, return_id, known.order_number, currency, sum(amount) as amount
    from known_facts as known
    semi join late_facts on late_facts.order_number = known.order_number and late_facts.of_month = known.own_month
    where posted_month = own_month
    group by all
)

select
    late_facts.* exclude (run_number),
    row_number()
        over (
            partition by month, late_facts.of_month, late_facts.source, fact_id, late_facts.component
            order by run_number, effect, happened_at
        )
        as position,
    abs(sum(coalesce(effect, 0)) over (
        partition by
            late_facts.of_month,
            late_facts.source,
            late_facts.component,
            late_facts.return_id,
            late_facts.order_number,
            late_facts.currency
    ))
    > greatest(
        coalesce(tolerance.absolute, 0::decimal(18, 4)),
        coalesce(
            share_of(abs(closed_sums.amount), tolerance.percent, 100::decimal(18, 4), late_facts.currency), 0::decimal(18, 4)
        )
    ) as is_beyond_tolerance
from late_facts
left join policy.tolerance on tolerance.currency = late_facts.currency
left join closed_sums on closed_sums.of_month = late_facts.of_month and closed_sums.source = late_facts.source
    and closed_sums.component = late_facts.component and closed_sums.currency = late_facts.currency
    and closed_sums.return_id is not distinct from late_facts.return_id
    and closed_sums.order_number is not distinct from late_facts.order_number;

delete from month_end.money_saved where month = (select month from report_period);
insert into month_end.money_saved by name
-- Another user had refunded it; without looking, we would have refunded it again.
select
    report_period.month,
    'double_credits_prevented' as measure,
    ledger.currency,
    count(*) as units,
    sum(coalesce(ledger.amount, 0)) as amount
from push.ledger
join staging.centra_returns as returns on returns.centra_return_id::varchar = ledger.centra_id
join report_period on strftime(returns.created_at, '%Y-%m') = report_period.month and returns.created_at < cut_off
where ledger.is_foreign
    and ledger.effect_kind = 'credit_note'
    and ledger.state = 'confirmed'
    and ledger.currency is not null
group by report_period.month, ledger.currency
union all by name
select
    report_period.month, 'over_credits_found' as measure, currency, count(distinct exception_id) as units, sum(amount) as amount
from known_events
join report_period on known_events.posted_month = report_period.month
semi join policy.exception_kinds as rules on rules.kind = known_events.kind and rules.measure = 'over_credits_found'
where event = 'opened' and currency is not null
group by report_period.month, currency
union all by name
select month, 'unbooked_units_value' as measure, currency, count(*) as units, sum(amount) as amount
from month_end.open_items
semi join policy.exception_kinds as rules on rules.kind = open_items.kind and rules.measure = 'unbooked_units_value'
where month = (select month from report_period) and currency is not null
group by month, currency;
