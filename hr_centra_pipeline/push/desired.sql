-- One row per effect that ought to be in Centra and is not, with the hash of everything that would be sent. What was approved
-- was approved with this hash.
create or replace temp table desired as
with
pending as (
    from effects.pending_credit_notes
    union all by name from effects.pending_inventory_adjustments
    union all by name from effects.pending_exchange_orders
    union all by name from effects.pending_status_updates
),

-- One row: what the policy says that a refusal may hang on. When it changes, what was rejected may be tried again.
policy_said as (
    select sha256(concat_ws(
        chr(31),
        (select coalesce(string_agg(p::varchar, chr(30) order by p::varchar), '') from policy.parameters as p),
        (select coalesce(string_agg(d::varchar, chr(30) order by d::varchar), '') from policy.dispositions as d),
        (select coalesce(string_agg(t::varchar, chr(30) order by t::varchar), '') from policy.pays_through as t),
        (select coalesce(string_agg(f::varchar, chr(30) order by f::varchar), '') from policy.fees as f),
        (select coalesce(string_agg(f::varchar, chr(30) order by f::varchar), '') from policy.zone_fees as f),
        (select coalesce(string_agg(t::varchar, chr(30) order by t::varchar), '') from policy.tax_limits as t)
    )) as policy_sha256
)

select
    pending.*,
    sha256(concat_ws(
        chr(31),
        policy_sha256,
        effect_kind,
        coalesce(shipment_id::varchar, '-'),
        coalesce(shipment_line_id::varchar, '-'),
        coalesce(sku, '-'),
        quantity::varchar,
        coalesce(warehouse_id::varchar, '-'),
        coalesce(from_warehouse_id::varchar, '-'),
        coalesce(currency, '-'),
        coalesce(amount::varchar, '-'),
        coalesce(items::varchar, '-'),
        coalesce(tax::varchar, '-'),
        coalesce(shipping::varchar, '-'),
        coalesce(fee::varchar, '-'),
        coalesce(voucher::varchar, '-'),
        coalesce(pays_through, '-'),
        coalesce("text", '-'),
        bundle_shipment_line_id::varchar
    )) as input_sha256
from pending
cross join policy_said;
