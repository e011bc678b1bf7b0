-- makes: month_end.fact_journal, month_end.match_journal, month_end.opening_position
-- kind:  table
-- grain: one row per fact as it was entered or reversed, and per run

-- What is known now of the active orders next to what the journal holds of them: new and changed facts are entered, changed and
-- vanished ones reversed. Of other orders nothing can have changed.

-- Refunds that were paid: by the provider, as a gift card, by another user. A request counts when it is made, and stays where it
-- was counted: an answer that pays adds nothing to it, one that fails takes it back on its own day. So a Return's facts sum to
-- what its entries have given.
create or replace temp table payments as
with
returns_of as (
    select centra_id, min(return_id) as return_id
    from (
        select centra_id, return_id from push.ledger
        where is_on_a_return(effect_kind) and state = 'confirmed'
        union all
        select foreign_centra_return_id::varchar, return_id
        from matching.matched_items
        where foreign_centra_return_id is not null
        union all
        -- The ledger has the order of a replacement, not its Return.
        select centra_return_id::varchar, return_id from effects.replacements
    )
    where centra_id is not null
    group by centra_id
)

select
    'paid' as side,
    'entry ' || entry_id as fact_id,
    return_id,
    entries.order_number,
    cast(null as varchar) as return_item_id,
    'payment' as component,
    currency,
    case when is_refund_failed(money) then -amount else amount end as amount,
    created_at as happened_at,
    is_refund_open(money) as is_pending,
    -- The journal is kept for good: it has one spelling of a failed refund, whatever Centra's is.
    case when is_refund_failed(money) then 'REFUND_FAILED' else entry_type end as source
from staging.payment_entries as entries
semi join matching.orders_in_play using (order_number)
left join returns_of on returns_of.centra_id = entries.centra_return_id::varchar
where entries.centra_return_id is not null and case
        when request_id is null then is_given_back(money) or money = 'refund_answered' -- a request counts when it was made
        else is_refund_failed(money)
    end
union all by name
select
    'paid' as side, 'refund ' || refund_id as fact_id, return_id, order_number, cast(null as varchar) as return_item_id,
    'payment' as component, currency, total_refunded as amount, issued_at as happened_at, false as is_pending,
    'paid elsewhere' as source
from staging.refunds
semi join matching.orders_in_play using (order_number)
where status = 'issued' and issued_at is not null and refund_type <> 'exchange'
    -- by who paid then: another payer from now on changes nothing of the past
    and refund_id in (select refund_id from paid_through where gift_card_id is not null or row_payer = 'elsewhere');

-- Which line of which file reports a fact is not part of it: a row corrected in one amount is not reported again in all others.
create or replace temp table differing as
with
facts_now as (
    select
        side,
        fact_id,
        return_id,
        order_number,
        return_item_id,
        component,
        currency,
        amount,
        happened_at,
        is_pending,
        source
    from reconciliation.refund_facts
    semi join matching.orders_in_play using (order_number)
    union all by name
    from payments
),

entered as (
    select
        side, fact_id, return_id, order_number, return_item_id, component, currency,
        case when is_reversal then -amount else amount end as amount, happened_at, is_pending, source,
        case when is_reversal then -1 else 1 end as times
    from month_end.fact_journal
    semi join matching.orders_in_play using (order_number)
)

select
    side, fact_id, return_id, order_number, return_item_id, component, currency, amount, happened_at, is_pending,
    min(source) as source, sum(times) as times
from (
    select *, 1 as times from facts_now
    union all by name
    select * replace (-times as times) from entered
)
group by side, fact_id, return_id, order_number, return_item_id, component, currency, amount, happened_at, is_pending
having sum(times) <> 0;

insert into month_end.fact_journal by name
select
    $run as run_number, $now as recorded_at, times < 0 as is_reversal,
    side, fact_id, return_id, order_number, return_item_id, component, currency,
    case when times < 0 then -amount else amount end as amount,
    happened_at,
    strftime(happened_at, '%Y-%m') as month,
    is_pending,
    source
from differing, range(abs(times)::bigint)
order by side, fact_id, component, happened_at, times;

-- What the match says of each key with a difference, when it is not what it said last; a difference that is gone is reported once.
insert into month_end.match_journal by name
with
told as (
    from month_end.match_journal
    semi join matching.orders_in_play using (order_number)
    qualify row_number() over (
            partition by return_id, order_number, component, currency order by run_number desc
        ) = 1
),

said as (
    select
        return_id,
        order_number,
        component,
        currency,
        expected_amount,
        happy_returns_amount,
        centra_amount,
        provider_amount,
        difference, culprit, tolerance_used, within_tolerance, is_explained, explained_by, allowed_difference
    from reconciliation.refund_match
    semi join matching.orders_in_play using (order_number)
    where coalesce(expected_amount, centra_amount, 0) is distinct from coalesce(centra_amount, 0)
        or coalesce(happy_returns_amount, 0) <> coalesce(centra_amount, 0)
        or coalesce(provider_amount, centra_amount, 0) is distinct from coalesce(centra_amount, 0)
)

select $run as run_number, $now as recorded_at, said.*
from said
left join told
    on told.return_id is not distinct from said.return_id and told.order_number is not distinct from said.order_number
        and told.component = said.component and told.currency = said.currency
where (
    said.expected_amount,
    said.happy_returns_amount,
    said.centra_amount,
    said.provider_amount,
    said.difference,
    said.culprit,
    said.tolerance_used, said.within_tolerance, said.is_explained, said.explained_by, said.allowed_difference
) is distinct from (
    told.expected_amount,
    told.happy_returns_amount,
    told.centra_amount,
    told.provider_amount,
    told.difference,
    told.culprit,
    told.tolerance_used, told.within_tolerance, told.is_explained, told.explained_by, told.allowed_difference
)
or told.component is null
union all by name
select
    $run as run_number, $now as recorded_at, told.return_id, told.order_number, told.component, told.currency
from told
anti join said
    on told.return_id is not distinct from said.return_id and told.order_number is not distinct from said.order_number
        and told.component = said.component and told.currency = said.currency
where told.within_tolerance is not null;

-- Effects that were due before the cut-over and are not in Centra: what the first month opens with.
create or replace temp table before_cutover as
select
    units.return_id, units.return_item_id, subject,
    case subject when 'credit' then 'finance' when 'stock' then 'warehouse' else 'customer_service' end as owner_team,
    matched.currency,
    case subject when 'credit' then matched.unit_price - matched.voucher_share else matched.unit_price end as amount
from effects.units as units
semi join matching.orders_in_play using (order_number)
cross join policy.parameters
join staging.return_items as items using (return_item_id)
join matching.matched_items as matched using (return_item_id)
cross join (values ('credit'), ('exchange'), ('stock')) as subjects (subject)
where units.is_after_cutover is false and matched.shipment_line_id is not null
    and case subject
        when 'credit'
            then items.refund_type <> 'exchange' and not units.is_refused and units.credit_due_at < parameters.cutover
                and matched.foreign_centra_return_id is null
        when 'exchange'
            then items.refund_type = 'exchange' and not units.is_refused and units.credit_due_at < parameters.cutover
                and matched.foreign_centra_return_id is null
        else units.restock_due_at < parameters.cutover and units.target_warehouse_id is not null
            and not coalesce((
                select bool_or(returned_to_stock) from staging.centra_returns
                where centra_return_id = matched.foreign_centra_return_id
            ), false)
    end
    and not exists (
        select 1 from push.ledger
        where ledger.return_item_id = units.return_item_id and ledger.state = 'confirmed'
            and ledger.effect_kind = case subject
                when 'credit' then 'credit_note' when 'exchange' then 'exchange_order' else 'inventory_adjustment'
            end
    );

insert into month_end.opening_position by name
with
standing as (
    from month_end.opening_position
    semi join (
        select return_item_id from staging.return_items semi join matching.orders_in_play using (order_number)
    ) as in_play using (return_item_id)
    qualify row_number() over (partition by return_item_id, subject order by run_number desc) = 1
)

select $run as run_number, $now as recorded_at, 'opened' as event, now_open.*
from before_cutover as now_open
left join standing using (return_item_id, subject)
where standing.event is distinct from 'opened'
union all by name
select
    $run as run_number,
    $now as recorded_at,
    'closed' as event,
    standing.return_id,
    return_item_id,
    subject,
    standing.owner_team,
    standing.currency, standing.amount
from standing
anti join before_cutover using (return_item_id, subject)
where standing.event = 'opened';
