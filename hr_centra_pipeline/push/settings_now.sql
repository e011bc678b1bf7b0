-- kind:  query
-- grain: one row: hashes of the settings that decide about effects

-- One row of hashes. fingerprint: the settings by which an effect is due at all; amounts: those that change how much or to where;
-- payers: who pays; parts: the settings of the fingerprint apart from each other, as JSON. What only changes the time of an effect
-- counts from now on.
with
-- One row per table and hash, in the order in which it is hashed. As subqueries they would be a cross product to be ordered.
setting_words as (
    select
        'fingerprint' as of_hash, 1 as place,
        concat_ws(chr(30), cutover, shipping_rule, shipping_source, fee_basis, fee_source, exchange_trigger) as words
    from policy.parameters
    union all
    select
        'fingerprint',
        2,
        coalesce(string_agg(concat_ws(chr(30), disposition, stock, warehouse_id), chr(29) order by disposition), '')
    from policy.dispositions
    union all
    select 'fingerprint', 3, coalesce(string_agg(disposition, chr(30) order by disposition), '')
    from policy.refused_dispositions
    union all
    select 'fingerprint', 4, coalesce(string_agg(t::varchar, chr(30) order by t::varchar), '') from policy.triggers as t
    union all
    select 'fingerprint', 5, coalesce(string_agg(t::varchar, chr(30) order by t::varchar), '')
    from policy.exchange_triggers as t
    union all
    select 'payers', 6, coalesce(string_agg(t::varchar, chr(30) order by t::varchar), '') from policy.pays_through as t
    union all
    select
        'amounts', 7,
        concat_ws(
            chr(30),
            on_difference,
            tax_percent,
            reported_costs,
            return_cost_is_taxed,
            bundle_some_parts,
            return_names_parts
        )
    from policy.parameters
    union all
    select 'amounts', 8, coalesce(string_agg(f::varchar, chr(30) order by f::varchar), '') from policy.fees as f
    union all
    select 'amounts', 9, coalesce(string_agg(f::varchar, chr(30) order by f::varchar), '') from policy.zone_fees as f
    union all
    -- What is within them is not held as a difference.
    select 'amounts', 10, coalesce(string_agg(t::varchar, chr(30) order by t::varchar), '') from policy.tolerance as t
    union all
    select 'amounts', 11, coalesce(string_agg(t::varchar, chr(30) order by t::varchar), '') from policy.tax_limits as t
    union all
    select 'rules', 12, concat_ws(chr(30), shipping_rule, shipping_source, fee_basis, fee_source, exchange_trigger)
    from policy.parameters
),

grades as (
    select disposition, settings.stock, settings.warehouse_id, refused.disposition is not null as is_refused
    from policy.dispositions as settings
    full join policy.refused_dispositions as refused using (disposition)
)

select
    sha256(string_agg(words, chr(31) order by place) filter (of_hash in ('fingerprint', 'payers'))) as fingerprint,
    sha256(string_agg(words, chr(31) order by place) filter (of_hash = 'amounts')) as amounts,
    any_value(words) filter (of_hash = 'payers') as payers,
    json_object(
        'cutover', (select cutover::varchar from policy.parameters),
        'rules',
        sha256(string_agg(words, chr(31) order by place) filter (of_hash in ('rules', 'payers') or place in (4, 5))),
        'grades', (select coalesce(list(g order by g.disposition), []) from grades as g)
    )::varchar as parts
from setting_words;
