-- makes: packet_returns
-- kind:  step
-- grain: one row per packet of the active orders, with the Return that it made
-- loop:  push.ledger, push.packets: what was sent is not due again; the push that follows commits its own later

-- One row per packet of the active orders whose Return is known. The same effects are sent under the same key again, so what a
-- restored database says of a packet may name the Return of the time before, which is gone: what Centra shows under the key counts.
create or replace temp table packet_returns as
with
recorded as (
    select packet_key, any_value(try_cast(packets.centra_id as bigint)) as centra_return_id
    from push.ledger
    semi join matching.orders_in_play using (order_number)
    left join push.packets using (packet_key)
    where packet_key is not null
    group by packet_key
),

shown as (
    select packet_key, list(centra_return_id order by centra_return_id) as return_ids
    from staging.centra_returns
    semi join recorded using (packet_key)
    where deleted_at is null
    group by packet_key
)

select
    packet_key,
    case
        when shown.return_ids is null or list_contains(shown.return_ids, recorded.centra_return_id) then recorded.centra_return_id
        else shown.return_ids[1]
    end as made_return_id
from recorded
left join shown using (packet_key);
