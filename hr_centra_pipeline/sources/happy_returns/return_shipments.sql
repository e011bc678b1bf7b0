-- makes: staging.return_shipments
-- kind:  table
-- grain: one row per unit of an outbound shipment, in its latest state

-- One row per unit of which an event or the partner API reports a shipment.
create or replace temp table partly_reported_shipments as
select distinct return_item_id from landing.happy_returns_shipments semi join changed_items using (return_item_id)
where feed <> 'files';

delete from staging.return_shipments where return_item_id in (select return_item_id from changed_items);
insert into staging.return_shipments by name
select * exclude (profile, row_sha256, landed_at, texts, batch, said_batch, feed), batch as landed_batch
from landing.happy_returns_shipments
semi join changed_items using (return_item_id)
anti join partly_reported_shipments using (return_item_id)
qualify row_number() over (
        partition by shipment_id, return_item_id order by source_time desc, batch desc, source_line desc
    ) = 1;

insert into staging.return_shipments by name
with
-- The first form of outbound notices holds no id of the shipment: of a unit, what has the same tracking number is one shipment.
shipments_by_tracking as (
    select
        return_item_id, tracking,
        arg_min(shipment_id, (case feed when 'files' then 0 when 'api' then 1 else 2 end, shipment_id)) as shipment_id
    from landing.happy_returns_shipments
    semi join partly_reported_shipments using (return_item_id)
    where tracking is not null
    group by all
),

rows_of_shipments as (
    select landed.* exclude (shipment_id), coalesce(named.shipment_id, landed.shipment_id) as shipment_id
    from landing.happy_returns_shipments as landed
    semi join partly_reported_shipments using (return_item_id)
    left join shipments_by_tracking as named on named.return_item_id = landed.return_item_id and named.tracking = landed.tracking
),

-- whole_states: rows of files up to this one; what came before the last of them counts no more.
reported_rows as (
    select *, count(*) filter (where feed = 'files') over states as whole_states
    from rows_of_shipments
    window states as (partition by shipment_id, return_item_id order by source_time, batch, source_line)
)

-- What a row of an event or of the partner API does not say is as it was.
select
    shipment_id, return_item_id, source_time, source_file, source_line, batch as landed_batch,
    last_value(columns(* exclude (
        shipment_id, return_item_id, source_time, source_file, source_line, batch, profile, row_sha256, landed_at, texts,
        said_batch, feed, whole_states
    )) ignore nulls) over states
from reported_rows
window
    states as (
        partition by shipment_id, return_item_id, whole_states order by source_time, batch, source_line rows unbounded preceding
    )
qualify row_number() over (
        partition by shipment_id, return_item_id order by source_time desc, batch desc, source_line desc
    ) = 1;
