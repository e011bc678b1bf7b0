-- changes: staging.payment_entries
-- kind:  table
-- grain: one row per payment entry: what it did, with its answer

-- What the payment entries of the orders in `paying_orders` did, once each request is paired with its answer. The request and the
-- entry that answers it are one payment, whatever the request goes on to show; push/payments.py reads live entries by the same
-- rule: of one Return (else of the order), by the same instrument and of the same amount, each answer answers one request that
-- was there before it; a failure that finds no request takes back the earliest refund that was there before it. Entries are in
-- the order of their ids.

-- one row per entry with a part in a payment in two steps, and the group in which it is paired
create or replace temp table payment_steps as
select
    entry_id, did.money, split_part(did.step, '_', 2) = 'request' as is_request, did.says, did.takes_back,
    dense_rank() over (
        order by order_number, centra_return_id, did.instrument, amount, split_part(did.step, '_', 1)
    ) as pairing_group
from staging.payment_entries as entries
semi join paying_orders using (order_number)
join policy.payment_words as did on did.entry_type = entries.entry_type and did.status = entries.status
where did.step is not null;

-- one row per request that was answered, with the entry that answers it
create or replace temp table answered_requests as
with
balanced_steps as (
    select
        *, sum(case when is_request then 1 else -1 end) over (
            partition by pairing_group order by entry_id rows between unbounded preceding and current row
        ) as balance
    from payment_steps
),

-- An answer that finds no request open takes the balance to a new low.
counted_steps as (
    select
        *, balance - least(0, min(balance) over (
            partition by pairing_group order by entry_id rows between unbounded preceding and current row
        )) as open_requests
    from balanced_steps
),

-- An answer that finds no request open is a payment of its own. What was open at one time is paired with each other.
paired_steps as (
    select
        *, count(*) filter (where is_request and open_requests = 1) over (
            partition by pairing_group order by entry_id rows between unbounded preceding and current row
        ) as episode
    from counted_steps
    qualify is_request or lag(open_requests) over (partition by pairing_group order by entry_id) > 0
),

placed_steps as (
    select
        *, row_number() over (partition by pairing_group, episode, is_request, says order by entry_id) as place,
        count(*) filter (where is_request) over (partition by pairing_group, episode, says) as requests,
        count(*) filter (where not is_request) over (partition by pairing_group, episode, says) as answers
    from paired_steps
),

-- A request that shows an outcome takes the answers of that outcome first; what is left answers those that show none, then any.
laned_steps as (
    select *, case when says <> 'open' and place <= least(requests, answers) then says else 'rest' end as lane
    from placed_steps
),

numbered_steps as (
    select
        *, row_number() over (
            partition by pairing_group, episode, is_request, lane order by is_request and says <> 'open', entry_id
        ) as place_in_lane
    from laned_steps
)

select requests.entry_id as request_id, answers.entry_id as answer_id
from numbered_steps as requests
join numbered_steps as answers
    on answers.pairing_group = requests.pairing_group and answers.episode = requests.episode
        and answers.lane = requests.lane and answers.place_in_lane = requests.place_in_lane
where requests.is_request and not answers.is_request;

-- one row per refund of which a failure was reported afterwards, though no request was open: it gave nothing. A refund that only was
-- not possible takes nothing back.
create or replace temp table withdrawn_refunds as
with
outcomes as (
    select *, is_refunded(money) as is_given
    from payment_steps
    where not is_request and (
            is_refunded(money) or (takes_back and entry_id not in (select answer_id from answered_requests))
        ) and (is_refunded(money) or is_refund_failed(money))
),

balanced_steps as (
    select
        *, sum(case when is_given then 1 else -1 end) over so_far as balance
    from outcomes
    window so_far as (partition by pairing_group order by entry_id rows between unbounded preceding and current row)
),

-- A failure that finds no refund takes the balance to a new low.
counted_steps as (
    select
        *, balance - least(0, min(balance) over (
            partition by pairing_group order by entry_id rows between unbounded preceding and current row
        )) as still_given
    from balanced_steps
),

paired_steps as (
    select * from counted_steps qualify is_given or lag(still_given) over (partition by pairing_group order by entry_id) > 0
),

placed_steps as (
    select *, row_number() over (partition by pairing_group, is_given order by entry_id) as place from paired_steps
)

select refunds.entry_id as refund_id, failures.entry_id as failure_id
from placed_steps as refunds
join placed_steps as failures on failures.pairing_group = refunds.pairing_group and failures.place = refunds.place
where refunds.is_given and not failures.is_given;

insert into answered_requests select refund_id, failure_id from withdrawn_refunds;

update staging.payment_entries as entries
set money = steps.now_money, request_id = steps.now_request_id
from (
    select
        steps.entry_id, as_answer.request_id as now_request_id,
        case
            when as_request.request_id is null then steps.money
            when is_about_refund(steps.money) then 'refund_answered'
            else 'capture_answered'
        end as now_money
    from payment_steps as steps
    left join answered_requests as as_request on as_request.request_id = steps.entry_id
    left join answered_requests as as_answer on as_answer.answer_id = steps.entry_id
) as steps
where steps.entry_id = entries.entry_id
    and (steps.now_money <> entries.money or steps.now_request_id is distinct from entries.request_id);
