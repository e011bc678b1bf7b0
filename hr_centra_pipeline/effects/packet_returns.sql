-- makes: packet_returns, was_pulled_since
-- kind:  step
-- grain: one row per packet of the active orders, with the Return that it made
-- loop:  push.ledger, push.packets: which Return a packet made is known since it was sent

-- A pull of Returns that must have shown what was made at one time and settled at another has completed since.
create or replace temp macro was_pulled_since(created_at, settled_at) as
exists (
    select 1
    from landing.centra_pulls as pulls
    where pulls."object" = 'returns' and pulls.is_complete
        and pulls.fetched_at > settled_at and pulls.window_from <= created_at
);

-- One row per packet of the active orders whose Return is known. The same effects are sent under the same key again, so what a
-- restored database says of a packet may name the Return of the time before. Where that one is gone, what Centra shows under the
-- key counts: a completed Return, a paid one before others; of a packet in doubt one that is pending, too.
create or replace temp table packet_returns as
with
-- One row per packet of the active orders, as the ledger knows it.
recorded_packets as (
    select
        packet_key, any_value(packets.state) as packet_state, any_value(try_cast(packets.centra_id as bigint)) as centra_return_id,
        any_value(packets.created_at) as created_at, any_value(packets.updated_at) as updated_at
    from push.ledger
    semi join matching.orders_in_play using (order_number)
    left join push.packets using (packet_key)
    where packet_key is not null
    group by packet_key
),

-- One row per packet whose Return Centra does not show.
packets_without_return as materialized (
    select recorded_packets.*
    from recorded_packets
    anti join (select centra_return_id from staging.centra_returns where deleted_at is null) as live using (centra_return_id)
    where centra_return_id is not null
),

-- Of what was refused or taken apart we have taken its Return back ourselves.
packets_of_gone_returns as (
    select packet_key from recorded_packets where packet_state in ('rejected', 'disbanded')
    union
    select packet_key from packets_without_return
    where centra_return_id in (select centra_return_id from staging.centra_returns) or was_pulled_since(created_at, updated_at)
),

-- One row per packet: the Return in Centra that names it.
shown_returns as (
    select packet_key, returns.centra_return_id
    from staging.centra_returns as returns
    join recorded_packets using (packet_key)
    where returns.deleted_at is null
        and (returns.is_completed or packet_state is null or packet_state in ('sending', 'unknown'))
    qualify row_number() over (
            partition by packet_key
            order by
                coalesce(returns.is_completed, false) desc,
                returns.centra_return_id in (
                    select centra_return_id from staging.payment_entries
                    where centra_return_id is not null and is_given_back(money)
                ) desc,
                returns.centra_return_id
        ) = 1
)

select
    packet_key, recorded_packets.centra_return_id as recorded_return_id,
    case
        when recorded_packets.centra_return_id is null or packet_key in (select packet_key from packets_of_gone_returns)
            then coalesce(shown_returns.centra_return_id, recorded_packets.centra_return_id)
        else recorded_packets.centra_return_id
    end as made_return_id
from recorded_packets
left join shown_returns using (packet_key);
