-- makes: staging.return_items
-- kind:  table
-- grain: one row per unit, in its latest state

delete from staging.return_items where return_item_id in (select return_item_id from changed_items);
insert into staging.return_items by name
with
-- One row per unit: its newest state.
latest_states as (
    select * from item_states
    qualify row_number() over (partition by return_item_id order by source_time desc) = 1
),

-- One row per unit: since when it has had its present grade, without a break.
grade_dates as (
    select states.return_item_id, min(states.source_time) as disposition_at
    from item_states as states
    join latest_states using (return_item_id)
    left join (
        select states.return_item_id, max(states.source_time) as other_at
        from item_states as states
        join latest_states using (return_item_id)
        where states.grade is distinct from latest_states.grade
        group by states.return_item_id
    ) as other using (return_item_id)
    where latest_states.grade is not null and (other.other_at is null or states.source_time > other.other_at)
    group by states.return_item_id
),

-- One row per unit that was approved once and is not any more: since when.
withdrawals as (
    select states.return_item_id, min(states.source_time) as approval_withdrawn_at
    from item_states as states
    join latest_states using (return_item_id)
    join (
        select return_item_id, max(source_time) as approved_until
        from item_states where approved_at is not null group by return_item_id
    ) as approvals using (return_item_id)
    where latest_states.approved_at is null and states.source_time > approvals.approved_until
    group by states.return_item_id
)

select
    latest_states.* exclude (batch, grade, disposition),
    latest_states.grade as disposition,
    grade_dates.disposition_at,
    withdrawals.approval_withdrawn_at,
    returns.created_at as return_created_at,
    returns.refund_status as return_status,
    latest_states.batch as landed_batch
from latest_states
left join grade_dates using (return_item_id)
left join withdrawals using (return_item_id)
left join staging.returns as returns
    on returns.return_id = latest_states.return_id and returns.order_number = latest_states.order_number;
