-- makes: month_end.fact_journal, month_end.match_journal, month_end.opening_position
-- kind:  table
-- grain: one row per fact as it was entered or reversed, and per run
-- loop:  month_end.fact_journal, month_end.match_journal, month_end.opening_position: only what differs from the last entry is entered

-- What is known now of the active orders next to what the journal holds of them: new and changed facts are entered, changed and
-- vanished ones reversed. Of other orders nothing can have changed.

-- Refunds that were paid: by the provider, as a gift card, by another user. A request counts when it is made, and stays where it
-- was counted: an answer that pays adds nothing to it, one that fails takes it back on its own day. So a Return's facts sum to
-- what its entries have given.
create or replace temp table payment_facts as
with
-- One row per Return or order in Centra with one of our effects, or an adoption, on it.
returns_by_centra_id as (
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
left join returns_by_centra_id on returns_by_centra_id.centra_id = entries.centra_return_id::varchar
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
create or replace temp table differing_facts as
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
    from payment_facts
),

-- One row per entry of the journal for the active orders.
entered_facts as (
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
    select * replace (-times as times) from entered_facts
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
from differing_facts, range(abs(times)::bigint)
order by side, fact_id, component, happened_at, times;

-- What the match says of each key with a difference, when it is not what it said last; a difference that is gone is reported once.
insert into month_end.match_journal by name
with
-- One row per key: what the journal holds of its match.
entered_matches as (
    from month_end.match_journal
    semi join matching.orders_in_play using (order_number)
    qualify row_number() over (
            partition by return_id, order_number, component, currency order by run_number desc
        ) = 1
),

-- One row per key with a difference now.
present_matches as (
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

select $run as run_number, $now as recorded_at, present_matches.*
from present_matches
left join entered_matches
    on entered_matches.return_id is not distinct from present_matches.return_id
        and entered_matches.order_number is not distinct from present_matches.order_number
        and entered_matches.component = present_matches.component and entered_matches.currency = present_matches.currency
where (
    present_matches.expected_amount,
    present_matches.happy_returns_amount,
    present_matches.centra_amount,
    present_matches.provider_amount,
    present_matches.difference,
    present_matches.culprit,
    present_matches.tolerance_used,
    present_matches.within_tolerance,
    present_matches.is_explained,
    present_matches.explained_by,
    present_matches.allowed_difference
) is distinct from (
    entered_matches.expected_amount,
    entered_matches.happy_returns_amount,
    entered_matches.centra_amount,
    entered_matches.provider_amount,
    entered_matches.difference,
    entered_matches.culprit,
    entered_matches.tolerance_used,
    entered_matches.within_tolerance,
    entered_matches.is_explained,
    entered_matches.explained_by,
    entered_matches.allowed_difference
)
or entered_matches.component is null
union all by name
select
    $run as run_number,
    $now as recorded_at,
    entered_matches.return_id,
    entered_matches.order_number,
    entered_matches.component,
    entered_matches.currency
from entered_matches
anti join present_matches
    on entered_matches.return_id is not distinct from present_matches.return_id
        and entered_matches.order_number is not distinct from present_matches.order_number
        and entered_matches.component = present_matches.component and entered_matches.currency = present_matches.currency
where entered_matches.within_tolerance is not null;

-- Effects that were due before the cut-over and are not in Centra: what the first month opens with.
create or replace temp table effects_before_cutover as
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
-- One row per unit and subject that the first month opens with.
entered_positions as (
    from month_end.opening_position
    semi join (
        select return_item_id from staging.return_items semi join matching.orders_in_play using (order_number)
    ) as in_play using (return_item_id)
    qualify row_number() over (partition by return_item_id, subject order by run_number desc) = 1
)

select $run as run_number, $now as recorded_at, 'opened' as event, now_open.*
from effects_before_cutover as now_open
left join entered_positions using (return_item_id, subject)
where entered_positions.event is distinct from 'opened'
union all by name
select
    $run as run_number,
    $now as recorded_at,
    'closed' as event,
    entered_positions.return_id,
    return_item_id,
    subject,
    entered_positions.owner_team,
    entered_positions.currency, entered_positions.amount
from entered_positions
anti join effects_before_cutover using (return_item_id, subject)
where entered_positions.event = 'opened';
