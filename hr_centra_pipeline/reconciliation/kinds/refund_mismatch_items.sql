-- changes: findings
-- kind:  exception
-- grain: one row per return on an order whose goods differ, and per refund row that is in another currency, contradicts itself, or is for units that were given goods
-- exception:    refund_mismatch_items
-- subject:      items, row_currency, row_instead_of_goods
-- owner:        finance
-- window_hours: 24
-- precedence:   140
-- severity:     warning
-- family:       none
-- component:    items
-- opens:        For a refund of which every unit is credited, the goods (net of discount, without tax) differ.
-- closes:       the sides agree within the tolerance; a row in another currency, when it is in its order's; a
--               row for units that were given goods, when it has failed or does not name them any more, or the
--               replacement is canceled.

-- One side says something else of it than the others.
insert into findings by name
select 'refund_mismatch_items' as kind, component as subject, * exclude (component)
from deviations
where component = 'items';

-- A row in another currency than the order that it is about, or than the order of a unit that it names: it pays nothing and takes
-- nothing off.
insert into findings by name
with
orders_of_rows as (
    select refunds.refund_id, orders.order_number, orders.currency
    from staging.refunds
    semi join money_orders using (order_number)
    join staging.orders as orders on orders.order_number = refunds.order_number
    union
    select refunds.refund_id, matched.order_number, matched.currency
    from staging.refunds
    semi join money_orders using (order_number)
    join staging.refund_units using (refund_id)
    join matching.matched_items as matched using (return_item_id)
)

select
    'refund_mismatch_items' as kind,
    'row_currency' as subject,
    refund_id as identity,
    'fix_happy_returns' as class,
    'amount_mismatch' as cause,
    'happy_returns' as culprit,
    refunds.return_id, refunds.order_number, refunds.currency,
    abs(any_value(refunds.total_refunded)) as amount,
    any_value(coalesce(refunds.issued_at, refunds.source_time)) as fact_at,
    'Happy Returns'' refund row ' || refund_id || ' is in ' || refunds.currency || ', and ' || string_agg(
        'order ' || orders.order_number || ' in ' || orders.currency, ', ' order by orders.order_number
    ) || ': it pays nothing and takes nothing off there' as detail,
    'Have Happy Returns correct the currency of the row; settle by hand what it was meant to change.' as next_step,
    json_object('source_file', any_value(source_file), 'source_line', any_value(source_line), 'refund_id', refund_id)
        as evidence
from staging.refunds as refunds
join orders_of_rows as orders using (refund_id)
where refunds.status in ('issued', 'pending') and orders.currency <> refunds.currency
group by refund_id, refunds.return_id, refunds.order_number, refunds.currency;

-- A row that contradicts itself. Where another component of it is wrong by just that, that is what breaks it, and is reported.
insert into findings by name
with
-- One row per refund row whose parts do not add up.
inconsistent_rows as (
    select
        return_id,
        order_number,
        currency,
        refund_id,
        coalesce(issued_at, source_time) as fact_at,
        source_file,
        source_line,
        total_refunded,
        total_refunded
        - (item_subtotal - coalesce(discount, 0) + tax + coalesce(shipping_refund, 0) - coalesce(processing_fee, 0))
            as remainder
    from staging.refunds
    semi join money_orders using (order_number)
    where refund_type <> 'exchange' and status = 'issued'
        and total_refunded
        <> item_subtotal - coalesce(discount, 0) + tax + coalesce(shipping_refund, 0) - coalesce(processing_fee, 0)
)

select
    'refund_mismatch_items' as kind,
    'items' as subject,
    'sum of ' || refund_id as identity,
    'fix_happy_returns' as class,
    'amount_mismatch' as cause,
    'happy_returns' as culprit,
    return_id, order_number, currency,
    abs(remainder) as amount,
    fact_at,
    'Happy Returns'' refund row does not add up: its total ' || money_text(total_refunded, currency) || ' is '
    || money_text(remainder, currency) || ' off the sum of its parts' as detail,
    'Have Happy Returns correct the row: one of its figures is wrong.' as next_step,
    json_object('source_file', source_file, 'source_line', source_line, 'refund_id', refund_id) as evidence
from inconsistent_rows
where not exists (
        from verdicts
        where verdicts.return_id = inconsistent_rows.return_id
            and verdicts.order_number = inconsistent_rows.order_number
            and verdicts.currency = inconsistent_rows.currency
            and verdicts.happy_returns - coalesce(verdicts.expected, verdicts.centra) = -inconsistent_rows.remainder
    );

-- One row per refund row that reports money for units whose replacement was ordered: nothing is paid on it by us.
insert into findings by name
select
    'refund_mismatch_items' as kind,
    'row_instead_of_goods' as subject,
    refunds.refund_id as identity,
    'fix_happy_returns' as class,
    'amount_mismatch' as cause,
    'happy_returns' as culprit,
    refunds.return_id, refunds.order_number, refunds.currency,
    least(any_value(refunds.total_refunded), sum(value.paid)) as amount,
    any_value(coalesce(refunds.issued_at, refunds.source_time)) as fact_at,
    'Happy Returns'' refund row '
    || refunds.refund_id
    || ' says that '
    || money_text(any_value(refunds.total_refunded), refunds.currency)
    || ' were refunded for ' || string_agg(
        value.return_item_id || coalesce(
            ' (replacement order '
            || replacements.replacement_order_number || ')', ''
        ), ', ' order by value.return_item_id
    )
    || ', which already received replacement goods: hr-centra pays nothing in addition' as detail,
    'Ask Happy Returns whether the money was really paid. If so, claim it back or cancel the replacement; else have the row '
    || 'corrected.'
        as next_step,
    json_object(
        'refund_id', refunds.refund_id, 'return_item_ids', list(value.return_item_id order by value.return_item_id)
    ) as evidence
from staging.refunds
semi join money_orders using (order_number)
join staging.refund_units as units using (refund_id)
join
    effects.value_given_back as value
    on value.return_item_id = units.return_item_id and value.currency = refunds.currency
left join (
    select
        return_item_id, string_agg(distinct replacement_order_number, ', ' order by replacement_order_number)
        filter (where state <> 'canceled') as replacement_order_number
    from effects.replacements group by return_item_id
) as replacements on replacements.return_item_id = value.return_item_id
where refunds.refund_type <> 'exchange' and refunds.status in ('issued', 'pending') and refunds.total_refunded > 0
    and value.exchange > 0
    and value.elsewhere = 0
    and not value.is_in_doubt
    and value.is_paid_instead is distinct from true
group by refunds.refund_id, refunds.return_id, refunds.order_number, refunds.currency;

-- closing
insert into proofs by name
select
    exception_id,
    coalesce(
        failure_proof,
        case
            when subject = 'row_currency'
                then (
                    select proven_by('same_currency', 'the refund row is in its order''s currency')
                    from staging.refunds
                    join staging.orders using (order_number, currency)
                    where refunds.refund_id = unseen_mismatches.identity
                )
            else agreement_proof
        end
    ) as proof
from unseen_mismatches
where kind = 'refund_mismatch_items';
