-- One row of hashes. fingerprint: the settings by which an effect is due at all; amounts: those that change how much or to where;
-- payers: who pays. What only changes the time of an effect counts from now on.
select
    sha256(concat_ws(
        chr(31),
        (
            select concat_ws(chr(30), cutover, shipping_rule, shipping_source, fee_basis, fee_source, exchange_trigger)
            from policy.parameters
        ),
        (
            select coalesce(string_agg(concat_ws(chr(30), disposition, stock, warehouse_id), chr(29) order by disposition), '')
            from policy.dispositions
        ),
        (select coalesce(string_agg(disposition, chr(30) order by disposition), '') from policy.refused_dispositions),
        (select coalesce(string_agg(t::varchar, chr(30) order by t::varchar), '') from policy.triggers as t),
        (select coalesce(string_agg(t::varchar, chr(30) order by t::varchar), '') from policy.exchange_triggers as t),
        (select coalesce(string_agg(t::varchar, chr(30) order by t::varchar), '') from policy.pays_through as t)
    )) as fingerprint,
    sha256(concat_ws(
        chr(31),
        (
            select concat_ws(chr(30), on_difference, reported_costs, return_cost_is_taxed, bundle_some_parts, return_names_parts)
            from policy.parameters
        ),
        (select coalesce(string_agg(f::varchar, chr(30) order by f::varchar), '') from policy.fees as f),
        (select coalesce(string_agg(f::varchar, chr(30) order by f::varchar), '') from policy.zone_fees as f)
    )) as amounts,
    (select coalesce(string_agg(t::varchar, chr(30) order by t::varchar), '') from policy.pays_through as t) as payers;
