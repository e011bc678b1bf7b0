-- refund_mismatch_items and _tax: Happy Returns' refund rows next to what the same units cost in Centra.

-- One row per unit that was credited (by us or by a person), with Centra's own values.
create or replace temp table credited_units as
select units.return_item_id, units.currency, units.unit_price, units.unit_tax, units.voucher_share, lines.tax_percent
from known_units as units
join staging.order_lines as lines using (order_line_id)
semi join (
    select return_item_id from push.ledger where effect_kind = 'credit_note' and state = 'confirmed'
) as credited using (return_item_id);

-- One row per return, order and component whose sides differ by more than the tolerance.
delete from reconciliation.refund_mismatches;
create or replace temp table mismatches as
with
-- One row per refund row of which every unit is credited, and tax rate: only then both sides tell of the same goods. The tax
-- in the voucher is rounded once for the row, as both vendors do, not once per unit.
by_rate as (
    select
        refunds.refund_id, credited.tax_percent,
        count(*) as units, count(credited.return_item_id) as credited_units,
        bool_and(credited.currency is not distinct from refunds.currency) as is_same_currency,
        sum(credited.unit_price) - sum(credited.voucher_share) as gross,
        sum(credited.unit_tax) - tax_in(sum(credited.voucher_share), credited.tax_percent, refunds.currency) as tax
    from staging.refunds
    cross join policy.parameters
    join staging.refund_units using (refund_id)
    left join credited_units as credited using (return_item_id)
    where refunds.status = 'issued' and refunds.refund_type <> 'exchange' and refunds.issued_at >= parameters.cutover
    group by refunds.refund_id, refunds.currency, credited.tax_percent
),

compared as (
    select
        refund_id,
        case when bool_and(is_same_currency) then sum(gross) - sum(tax) end as centra_items,
        case when bool_and(is_same_currency) then sum(tax) end as centra_tax
    from by_rate group by refund_id
    having sum(units) = sum(credited_units)
),

sides as (
    select
        return_id, order_number, currency, max(issued_at) as fact_at, list(refund_id order by refund_id) as refund_ids,
        any_value(source_file) as source_file, any_value(source_line) as source_line,
        -- a row that does not tell a figure leaves its sum open
        case when count(item_subtotal) = count(*) then sum(item_subtotal - coalesce(discount, 0)) end as told_items,
        case when count(tax) = count(*) then sum(tax) end as told_tax,
        sum(centra_items) as centra_items, sum(centra_tax) as centra_tax
    from staging.refunds
    join compared using (refund_id)
    group by return_id, order_number, currency
),

components as (
    select 'items' as component, told_items as told, centra_items as centra, * from sides where told_items is not null
    union all by name
    select 'tax' as component, told_tax as told, centra_tax as centra, * from sides where told_tax is not null
)

select
    components.*, told - coalesce(centra, 0) as difference
from components
left join policy.tolerance using (currency)
where abs(told - coalesce(centra, 0)) > greatest(
    coalesce(tolerance.absolute, 0::decimal(18, 4)),
    coalesce(share_of(abs(told), tolerance.percent, 100::decimal(18, 4), currency), 0::decimal(18, 4))
);

insert into reconciliation.refund_mismatches by name
select
    return_id, order_number, component, currency,
    centra::decimal(18, 4) as expected_amount, -- the policy credits Centra's own line values
    told::decimal(18, 4) as happy_returns_amount,
    centra::decimal(18, 4) as centra_amount,
    difference::decimal(18, 4) as difference,
    'happy_returns' as culprit
from mismatches;

insert into findings by name
select
    'refund_mismatch_' || component as kind,
    component as subject,
    'fix_happy_returns' as class,
    'amount_mismatch' as cause,
    'happy_returns' as culprit,
    return_id, order_number, currency,
    abs(difference) as amount,
    fact_at,
    'Happy Returns refunds ' || money_text(told, currency) || ' for ' || component || ', '
        || coalesce('in Centra they are ' || money_text(centra, currency), 'Centra sold in another currency') as detail,
    'Compare the refund with the order: correct prices or tax at Happy Returns, and settle the difference by hand.' as next_step,
    json_object('source_file', source_file, 'source_line', source_line, 'refund_ids', refund_ids) as evidence
from mismatches;
