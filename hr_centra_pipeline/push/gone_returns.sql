-- makes: gone_returns
-- kind:  step
-- grain: one row per Return that we made and that Centra does not have any more

-- One row per Return that we made and that Centra does not have any more (shown as deleted, or never although a pull that must
-- have shown it has completed since), and that was not made again and completed under the same key: a restored database does not
-- know of that.
create or replace temp table gone_returns as
with
packets_without_return as materialized (
    select packets.* replace (packets.centra_id::bigint as centra_id)
    from push.packets
    anti join (
        select centra_return_id::varchar as centra_id from staging.centra_returns where deleted_at is null
    ) as live using (centra_id)
    where packets.operation in ('credit', 'exchange') and packets.state = 'confirmed' and packets.centra_id is not null
        and (packets.payload ->> 'first_step') is null -- made from a Return that was there: not its own
)

select packet_key, members, operation, centra_id as centra_return_id, state, updated_at as done_at
from packets_without_return
where (centra_id in (select centra_return_id from staging.centra_returns) or was_pulled_since(created_at, updated_at))
    and packet_key not in (
        select packet_key from staging.centra_returns where deleted_at is null and is_completed and packet_key is not null
    );
