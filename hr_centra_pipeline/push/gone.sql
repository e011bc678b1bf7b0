-- makes: gone_returns
-- kind:  step
-- grain: one row per Return that we made and that Centra does not have any more

-- One row per Return that we made and that Centra does not have any more: shown as deleted, or never shown although a pull
-- that must have shown it came to its end since.
create or replace temp table gone_returns as
select
    packets.packet_key,
    packets.members,
    packets.operation,
    packets.centra_id::bigint as centra_return_id,
    packets.state,
    packets.updated_at as done_at
from push.packets
left join staging.centra_returns as returns on returns.centra_return_id = try_cast(packets.centra_id as bigint)
where packets.operation in ('credit', 'exchange') and packets.state = 'confirmed' and packets.centra_id is not null
    and (packets.payload ->> 'first_step') is null -- made from a Return that was there: not its own
    -- Sent again under the same key since this row was written: a restored database does not know it.
    and not exists (
        select 1 from staging.centra_returns as again
        where again.packet_key = packets.packet_key
            and again.deleted_at is null
            and again.centra_return_id <> packets.centra_id::bigint
    )
    and (
        returns.deleted_at is not null
        or (returns.centra_return_id is null and exists (
            select 1 from landing.centra_pulls as pulls
            where pulls."object" = 'returns' and pulls.is_complete and pulls.fetched_at > packets.updated_at
                and pulls.window_from <= packets.created_at
        ))
    );
