-- makes: reconciliation.refund_facts, money_orders, return_states, carried, return_pieces, return_costs,
--        expected_pairs, fresh_facts
-- kind:  table
-- grain: one row per side, unit and component: what the side says was given back

-- What each side says was given back, unit by unit and component by component. Whatever a side tells for several units is
-- allocated by `part_of`, in the order of their ids, so that the parts sum back to what was told.

-- The single entry of all that is about money: one row per order whose facts are made anew. Orders that one return joins
-- are in play together, since a fee per return is charged on one of them.
create or replace temp table money_orders as
from matching.orders_in_play;

delete from reconciliation.refund_facts where order_number in (select order_number from money_orders);

-- ---------------------------------------------------------------- Centra: Returns

-- One row per Return: is it final, what was paid on it, and what that makes of its total.
create or replace temp table return_states as
select
    centra_return_id,
    created_at,
    (is_completed is distinct from true) or is_pending as is_pending,
    paid,
    coalesce(given, 0) as given,
    given_at, settled
from settled_returns
semi join money_orders using (order_number)
where deleted_at is null;

-- One row per effect of ours that a Return carries: by the keys in its comment, else (somebody emptied it) by the ledger.
create or replace temp table carried as
with
marked as (
    select centra_return_id, unnest(effect_keys) as effect_key, deleted_at is not null as is_deleted
    from staging.centra_returns
    semi join money_orders using (order_number)
),

remembered as (
    select returns.centra_return_id, ledger.effect_key, returns.deleted_at is not null as is_deleted
    from (from push.ledger semi join money_orders using (order_number)) as ledger
    join staging.centra_returns as returns on returns.centra_return_id::varchar = ledger.centra_id
    anti join marked on marked.effect_key = ledger.effect_key
    where ledger.effect_kind in ('credit_note', 'return_fee', 'shipping_refund') and not ledger.is_foreign
)

select
    keys.centra_return_id,
    keys.is_deleted,
    ledger.effect_key,
    ledger.effect_kind,
    ledger.return_id,
    ledger.return_item_id,
    ledger.shipment_line_id, ledger.amount
from (
    from marked
    union all
    from remembered
) as keys
join push.ledger using (effect_key)
where ledger.effect_kind in ('credit_note', 'exchange_order', 'return_fee', 'shipping_refund');

-- One row per piece on a Return that stands, with its value and tax, and the unit that it is (null: a unit of nobody). A line may
-- have millions: beyond its units and a thousand more, the rest is one row. `pieces`: how many a row is.
create or replace temp table return_pieces as
with
units as (
    select centra_return_id, shipment_line_id, return_item_id, false as is_foreign
    from carried where return_item_id is not null and not is_deleted
    union
    select foreign_centra_return_id, shipment_line_id, return_item_id, true as is_foreign
    from known_units where foreign_centra_return_id is not null
),

lines as (
    select
        lines.*, returns.currency,
        sum(lines.quantity) over (
            partition by lines.centra_return_id, lines.shipment_line_id order by lines.centra_return_line_id
        )::bigint - lines.quantity as pieces_before,
        least(lines.quantity, coalesce(claims.units, 0) + 1000) as told_apart
    from staging.centra_return_lines as lines
    join staging.centra_returns as returns using (centra_return_id)
    semi join money_orders on money_orders.order_number = returns.order_number
    left join (
        select centra_return_id, shipment_line_id, count(*) as units from units group by all
    ) as claims using (centra_return_id, shipment_line_id)
    where returns.deleted_at is null
),

numbered as (
    select
        lines.*, numbers.piece as place_on_line,
        case when numbers.piece = told_apart then quantity - told_apart + 1 else 1 end as alike
    from lines
    cross join range(1, lines.told_apart + 1) as numbers (piece)
),

pieces as (
    select
        centra_return_id, shipment_line_id, order_line_id, order_number, currency, alike,
        case when quantity = 1 then line_value
            else part_of(line_value, place_on_line - 1, place_on_line - 1 + alike, quantity, currency)
        end as value,
        case when quantity = 1 then line_tax
            else part_of(line_tax, place_on_line - 1, place_on_line - 1 + alike, quantity, currency)
        end as line_tax,
        pieces_before + place_on_line as piece
    from numbered
),

placed as (
    select *, row_number() over (partition by centra_return_id, shipment_line_id order by return_item_id) as piece
    from units
),

known as (
    select
        pieces.*, placed.return_item_id, coalesce(placed.is_foreign, false) as is_foreign,
        items.return_id, (items.refund_type is not distinct from 'exchange') as is_exchange,
        -- as Centra keeps it: only there the shares sum to what a Return takes off
        matched.voucher_share - matched.voucher_tax_added as voucher_share, lines.tax_percent, orders.tax_mode
    from pieces
    left join staging.orders as orders on orders.order_number = pieces.order_number
    left join placed using (centra_return_id, shipment_line_id, piece)
    left join staging.return_items as items using (return_item_id)
    left join matching.matched_items as matched using (return_item_id)
    left join staging.order_lines as lines on lines.order_line_id = pieces.order_line_id
),

-- The voucher that a Return takes off: as its units were promised, where that is the same sum, else by their value.
weighed as (
    select
        known.*, returns.discounts, returns.discount_tax_added, sum(alike) over on_return_so_far as place,
        sum(alike) over on_return as pieces,
        sum(voucher_share) over on_return = returns.discounts
        and count(voucher_share) over on_return = count(*) over on_return
            as is_as_promised,
        sum(value) over on_return_so_far as value_upto, sum(value) over on_return as value_of_all
    from known
    join staging.centra_returns as returns using (centra_return_id)
    window
        on_return as (partition by centra_return_id),
        on_return_so_far as (
            partition by centra_return_id
            order by shipment_line_id, piece rows between unbounded preceding and current row
        )
),

shared as (
    select
        *, case
            when discounts = 0 then 0
            when is_as_promised then voucher_share
            else part_of(
                    discounts, case when value_of_all > 0 then value_upto - value else place - alike end,
                    case when value_of_all > 0 then value_upto else place end,
                    case when value_of_all > 0 then value_of_all else pieces end, currency
                )
        end as voucher_kept
    from weighed
),

-- The tax that Centra adds to the voucher is shared as the voucher is.
added as (
    select
        *,
        case when discount_tax_added = 0 then 0 else part_of(
                    discount_tax_added, voucher_upto - voucher_kept, voucher_upto, discounts, currency
                )
        end::decimal(18, 4) as voucher_added
    from (
        select
            *, (sum(voucher_kept) over (
                partition by centra_return_id order by place rows between unbounded preceding and current row
            ))::decimal(18, 4) as voucher_upto
        from shared
    )
),

-- Each piece's tax less that of its voucher; the last piece takes what rounding leaves of the Return's own figure, the one that is
-- taxed most what was paid beyond it.
taxed as (
    select
        *, voucher_kept + voucher_added as voucher,
        line_tax - case
            when voucher_kept = 0 then 0
            else voucher_tax_of(tax_mode, voucher_kept, voucher_added, coalesce(tax_percent, 0), currency)
        end as own_tax,
        row_number() over (partition by centra_return_id order by line_tax desc, place) = 1 as is_most_taxed
    from added
)

select
    taxed.centra_return_id,
    order_number,
    currency,
    shipment_line_id,
    piece,
    alike as pieces,
    return_item_id,
    return_id,
    is_foreign,
    is_exchange, place,
    value - voucher + case when is_most_taxed then paid_beyond else 0 end as gross,
    case when place = pieces then returns.tax - sum(own_tax) over on_return_taxed + own_tax else own_tax end
    + case when is_most_taxed then paid_beyond else 0 end as tax
from taxed
join (
    select
        returns.centra_return_id, returns.tax,
        -- Where Centra settles the tax after the payment, what was paid is what was given back. Of an exchange, goods were.
        case when returns.centra_return_id in (select centra_return_id from known where is_exchange) then 0
            else states.settled - returns.grand_total
        end as paid_beyond
    from staging.centra_returns as returns
    join return_states as states using (centra_return_id)
) as returns using (centra_return_id)
window on_return_taxed as (partition by taxed.centra_return_id);

-- One row per Return and the return that its units belong to, with its part of the Return's costs (as Centra keeps them, and the
-- tax that it adds): as our effects planned them, where that is the same sum, else by value.
create or replace temp table return_costs as
with
pairs as (
    select
        centra_return_id,
        order_number,
        currency,
        return_id,
        bool_or(is_exchange) as is_exchange,
        bool_and(is_foreign) as is_foreign,
        greatest(sum(gross), 0) as value
    from return_pieces
    group by all
),

planned as (
    select
        carried.centra_return_id,
        carried.return_id,
        sum(carried.amount) filter (where carried.effect_kind = 'shipping_refund') as shipping,
        sum(charged.fee) as fee
    from carried
    left join fees_charged as charged using (effect_key)
    where not is_deleted
    group by all
),

told as (
    select
        pairs.*, coalesce(planned.shipping, 0) as planned_shipping, coalesce(planned.fee, 0) as planned_fee,
        returns.shipping + returns.handling as shipping, returns.shipping_tax_added as shipping_tax,
        returns.return_cost as fee, returns.return_cost_tax_added as fee_tax,
        case when max(value) over (partition by pairs.centra_return_id) > 0 then value else 1 end as weight
    from pairs
    join staging.centra_returns as returns using (centra_return_id)
    left join planned on planned.centra_return_id = pairs.centra_return_id and planned.return_id = pairs.return_id
),

weighed as (
    select
        * exclude (weight),
        case when sum(planned_shipping) over of_return = shipping + shipping_tax then planned_shipping else weight end
            as shipping_weight,
        case when sum(planned_fee) over of_return = fee + fee_tax then planned_fee else weight end as fee_weight
    from told
    window of_return as (partition by centra_return_id)
),

summed as (
    select
        *, sum(shipping_weight) over so_far as shipping_upto, sum(shipping_weight) over of_return as shipping_whole,
        sum(fee_weight) over so_far as fee_upto, sum(fee_weight) over of_return as fee_whole
    from weighed
    window
        of_return as (partition by centra_return_id),
        so_far as (
            partition by centra_return_id order by return_id nulls last rows between unbounded preceding and current row
        )
)

select *, shipping_kept + shipping_added as shipping, fee_kept + fee_added as fee
from (
    select
        centra_return_id, order_number, currency, return_id, is_exchange,
        part_of(shipping, shipping_upto - shipping_weight, shipping_upto, shipping_whole, currency) as shipping_kept,
        part_of(shipping_tax, shipping_upto - shipping_weight, shipping_upto, shipping_whole, currency)
            as shipping_added,
        part_of(fee, fee_upto - fee_weight, fee_upto, fee_whole, currency) as fee_kept,
        part_of(fee_tax, fee_upto - fee_weight, fee_upto, fee_whole, currency) as fee_added
    from summed
);

insert into reconciliation.refund_facts by name
with
amounts as (
    select
        centra_return_id,
        return_id,
        order_number,
        return_item_id,
        currency,
        shipment_line_id || '/' || piece as place,
        component,
        case component when 'items' then gross - tax else tax end as amount, 0 as in_goods
    from return_pieces, unnest(['items', 'tax']) as components (component)
    where not is_exchange
    union all by name
    select
        centra_return_id, return_id, order_number, currency, '' as place, component,
        case component when 'shipping' then shipping else -fee end as amount, 0 as in_goods
    from return_costs, unnest(['shipping', 'fee']) as components (component)
    where not is_exchange
    union all by name
    -- The Return of an exchange gives goods, not money; what was paid on it all the same is money.
    select
        centra_return_id, return_id, order_number, return_item_id, currency, place, 'exchange' as component,
        paid_part as amount, value - paid_part as in_goods
    from (
        select
            exchanged.*,
            case when given = 0 then 0 else part_of(given, upto - value, upto, whole, currency) end as paid_part
        from (
            select
                *, sum(value) over (
                    partition by centra_return_id
                    order by place, return_id rows between unbounded preceding and current row
                ) as upto,
                sum(value) over (partition by centra_return_id) as whole
            from (
                select
                    centra_return_id,
                    return_id,
                    order_number,
                    return_item_id,
                    currency,
                    shipment_line_id || '/' || piece as place,
                    gross as value
                from return_pieces where is_exchange
                union all by name
                select centra_return_id, return_id, order_number, currency, 'costs' as place, shipping - fee as value
                from return_costs where is_exchange and shipping <> fee
            )
        ) as exchanged
        join return_states using (centra_return_id)
    )
)

select
    'centra' as side,
    concat_ws(' ', 'centra', centra_return_id, coalesce(return_id, '-'), place, component) as fact_id,
    return_id, order_number, return_item_id, component, currency, amount, in_goods,
    -- Money in place of a replacement is given when it is asked for, not when the Return of the exchange was made.
    case
        when component = 'exchange' and amount <> 0 then coalesce(states.given_at, states.created_at) else
            states.created_at
    end
        as happened_at,
    states.is_pending, 'Return ' || centra_return_id as source
from amounts
join return_states as states using (centra_return_id)
where amount <> 0 or in_goods <> 0 or component in ('items', 'exchange');

-- ---------------------------------------------------------------- our policy

-- One row per unit whose money is due by the policy, or was given: what Centra sold it for. The voucher's tax is rounded
-- once for all units of one Return (or of the return, as long as there is none), as both vendors do.
create or replace temp table expected_units as
with
due as (
    select
        units.return_item_id,
        units.return_id,
        units.order_number,
        units.currency,
        units.country,
        units.dropoff_method,
        units.refund_type,
        units.is_returnless,
        units.is_refused,
        units.credit_trigger,
        units.credit_due_at,
        units.tax_percent,
        units.unit_tax,
        units.voucher_share, units.unit_price - units.voucher_share as gross, pieces.centra_return_id,
        coalesce(pieces.centra_return_id::varchar, units.return_id) as together, units.tax_mode, units.unit_tax_added,
        units.voucher_tax_added,
        units.unit_tax - units.voucher_tax as own_tax
    from known_units as units
    left join (
        select return_item_id, min(centra_return_id) as centra_return_id from return_pieces
        where return_item_id is not null group by return_item_id
    ) as pieces using (return_item_id)
    where units.refund_type <> 'exchange'
        and (pieces.return_item_id is not null or (units.credit_due_at is not null and not units.is_refused))
),

by_rate as (
    select
        together, order_number, tax_percent, currency,
        case
            when coalesce(any_value(tax_mode), 'included') = 'included'
                then sum(unit_tax) - tax_in(sum(voucher_share), tax_percent, currency)
            else sum(own_tax)
        end as tax,
        max(return_item_id) as last_unit
    from due group by together, order_number, tax_percent, currency
)

select
    due.* exclude (own_tax, together, unit_tax, voucher_share),
    case when return_item_id = last_unit then by_rate.tax - sum(own_tax) over same + own_tax else own_tax end::decimal(
        18, 4
    ) as tax,
    coalesce(waiting.sendable_at, due.credit_due_at) + to_hours(rules.window_hours::integer) as opens_at,
    due.centra_return_id is null and waiting.return_item_id is not null as is_missing
from due
join by_rate
    on by_rate.together = due.together and by_rate.order_number = due.order_number
        and by_rate.tax_percent = due.tax_percent and by_rate.currency = due.currency
left join (
    select return_item_id, min(sendable_at) as sendable_at from effects.pending_credit_notes group by return_item_id
) as waiting using (return_item_id)
cross join (select window_hours from policy.exception_kinds where kind = 'return_without_credit_note') as rules
window same as (partition by due.together, due.order_number, due.tax_percent, due.currency);

-- One row per return on an order: its costs before tax, and the tax that Centra adds to them: as its Returns show it, until
-- then as it is estimated. Only where Centra adds or deducts tax.
create or replace temp table costs_taxed as
with
shown as (
    select
        return_id,
        order_number,
        sum(shipping_kept) as shipping,
        sum(shipping_added) as shipping_tax,
        sum(fee_kept) as fee,
        sum(fee_added) as fee_tax
    from return_costs where return_id is not null
    group by all
),

sold as (
    select
        return_id, order_number, any_value(tax_mode) as tax_mode, sum(unit_price - voucher_share) as value,
        sum(unit_tax_added - voucher_tax_added) as tax_added
    from known_units
    where tax_mode in ('added', 'none')
    group by all
)

select
    sold.return_id, sold.order_number, sold.tax_mode,
    case when coalesce(shown.shipping, 0) > 0 then shown.shipping else orders.shipping + orders.handling end::decimal(
        18, 4
    ) as shipping,
    case when coalesce(shown.shipping, 0) > 0 then shown.shipping_tax else orders.shipping_tax_added end::decimal(
        18, 4
    ) as shipping_tax,
    case when coalesce(shown.fee, 0) > 0 then shown.fee else sold.value - sold.tax_added end::decimal(18, 4) as fee,
    case
        when coalesce(shown.fee, 0) > 0 then shown.fee_tax
        when sold.tax_mode = 'added' and parameters.return_cost_is_taxed then sold.tax_added
        else 0
    end::decimal(18, 4) as fee_tax,
    parameters.reported_costs
from sold
cross join policy.parameters
join staging.orders as orders using (order_number)
left join shown using (return_id, order_number);

-- What a cost that Happy Returns reports is with tax; and one that our policy names.
create or replace temp macro with_tax_added(kept, added, whole, currency) as
(kept + added_to_part(coalesce(added, 0), kept, whole, currency))::decimal(18, 4);
create or replace temp macro told_with_tax(told, added, whole, reported_costs, currency) as
case
    when coalesce(added, 0) <= 0 or reported_costs = 'with_tax' then told else
        with_tax_added(told, added, whole, currency)
end
::decimal(18, 4);

-- One row per return and order with refunds to the original payment: the shipping and the fee that the policy gives and takes.
create or replace temp table expected_pairs as
with
pairs as (
    select
        return_id,
        order_number,
        currency,
        country,
        any_value(dropoff_method) as dropoff_method,
        bool_and(is_returnless) as is_returnless,
        count(*) as units, sum(gross) as credited, min(coalesce(credit_due_at, known.created_at)) as happened_at,
        bool_and(credit_due_at is null) or bool_or(is_missing and opens_at > $now) as is_pending
    from expected_units
    left join (select centra_return_id, created_at from return_states) as known using (centra_return_id)
    where refund_type = 'refund'
    group by return_id, order_number, currency, country
),

-- What was taken off on each order of a return, and on which basis the return was charged anywhere.
charged as (
    select
        return_id, order_number, sum(fee)::decimal(18, 4) as fee,
        bool_or(bool_or(effect_kind = 'credit_note')) over (partition by return_id) as has_items,
        bool_or(bool_or(effect_kind = 'return_fee')) over (partition by return_id) as has_whole
    from fees_charged
    group by return_id, order_number
),

-- A fee per return is charged once: on its lowest order, what is more than that one's credit on the next.
asked as (
    select
        pairs.*,
        -- as Centra keeps them: before tax
        kept_of_told(told.shipping, taxed.shipping_tax, taxed.shipping, taxed.reported_costs, pairs.currency)
            as told_shipping,
        told_with_tax(
            case parameters.fee_basis when 'item' then told.fee_of_units else told.fee end,
            taxed.fee_tax,
            taxed.fee,
            taxed.reported_costs,
            pairs.currency
        ) as told_fee,
        taxed.shipping as taxed_shipping, taxed.shipping_tax,
        told.told_at, orders.shipping + orders.handling as order_shipping,
        orders.shipping + orders.handling > 0 and parameters.shipping_rule <> 'never'
        and (parameters.shipping_rule = 'as_told' or whole_orders.order_number is not null) as gives_shipping,
        parameters.shipping_source, parameters.shipping_rule, parameters.fee_basis, parameters.fee_source,
        -- the policy's fee: null where it names fees, and none for this
        case
            when pairs.is_returnless then 0
            when coalesce(
                    zones.amount, fees.amount
                ) is not null
                then with_tax_added(
                        (
                            rounded_money(coalesce(zones.amount, fees.amount), pairs.currency)
                            * case parameters.fee_basis when 'item' then pairs.units else 1 end
                        )::decimal(18, 4),
                        taxed.fee_tax, taxed.fee, pairs.currency
                    )
            when
                methods.dropoff_method is null
                and (select count(*) from policy.fees) + (select count(*) from policy.zone_fees) > 0
                then 0
            when parameters.fee_source = 'policy' then 0
        end as rule_fee,
        sum(pairs.credited) over earlier as credited_before,
        coalesce(charged.fee, 0) as charged, coalesce(charged.has_items, false) as is_charged_per_item,
        coalesce(charged.has_whole, false) as is_charged_per_return
    from pairs
    cross join policy.parameters
    join staging.orders as orders on orders.order_number = pairs.order_number
    left join costs_reported as told on told.return_id = pairs.return_id and told.order_number = pairs.order_number
    left join whole_orders on whole_orders.order_number = pairs.order_number
    left join costs_taxed as taxed on taxed.return_id = pairs.return_id and taxed.order_number = pairs.order_number
    left join charged on charged.return_id = pairs.return_id and charged.order_number = pairs.order_number
    left join policy.fees as fees on fees.dropoff_method = pairs.dropoff_method and fees.currency = pairs.currency
    left join policy.zone_fees as zones
        on zones.dropoff_method = pairs.dropoff_method
            and zones.currency = pairs.currency
            and zones.country = pairs.country
    left join (
        select dropoff_method from policy.fees
        union
        select dropoff_method from policy.zone_fees
    ) as methods on methods.dropoff_method = pairs.dropoff_method
    window earlier as (
        partition by pairs.return_id order by try_cast(pairs.order_number as bigint), pairs.order_number
        rows between unbounded preceding and 1 preceding
    )
),

given as (
    select
        asked.*,
        (case
            when not gives_shipping then 0
            -- as told, up to what is left after the returns before; the policy's, to the first
            else greatest(0, least(asks, order_shipping - coalesce(sum(asks) over before, 0)))
        end)::decimal(18, 4) as shipping_kept
    from (
        select
            asked.*,
            case when shipping_source = 'policy' then order_shipping else coalesce(told_shipping, 0) end as asks
        from asked
    ) as asked
    left join (
        select return_id, order_number, sum(shipping) > 0 as has_it from return_costs group by all
    ) as costs on costs.return_id = asked.return_id and costs.order_number = asked.order_number
    -- who has it keeps it, though a row that was issued earlier may turn up later
    window before as (
        partition by asked.order_number order by coalesce(has_it, false) desc, told_at nulls last, asked.return_id
        rows between unbounded preceding and 1 preceding
    )
)

select
    return_id,
    order_number,
    currency,
    dropoff_method,
    happened_at,
    is_pending,
    shipping_rule,
    shipping_source,
    fee_basis,
    rule_fee is not null as has_fee_rule,
    with_tax_added(shipping_kept, shipping_tax, taxed_shipping, currency) as shipping,
    -- One basis per return: what it was charged, when the policy's basis is another one now.
    least(credited, case
        when fee_basis = 'item' and is_charged_per_return then charged
        when fee_basis = 'return' and is_charged_per_item then greatest(charged, coalesce(rule_fee, told_fee, 0))
        when rule_fee is null then coalesce(told_fee, 0)
        when fee_basis = 'item' then rule_fee
        else greatest(0, rule_fee - coalesce(credited_before, 0))
    end)::decimal(18, 4) as fee
from given;

insert into reconciliation.refund_facts by name
with
units as (
    select
        return_id, order_number, return_item_id, component, currency,
        case component when 'items' then gross - tax else tax end as amount,
        coalesce(credit_due_at, states.created_at) as happened_at,
        credit_due_at is null or (is_missing and opens_at > $now) as is_pending,
        'trigger ' || coalesce(credit_trigger, '?') || ', ' || coalesce(dropoff_method, 'no drop-off method') as source
    from expected_units
    left join return_states as states using (centra_return_id),
        unnest(['items', 'tax']) as components (component)
),

pairs as (
    select
        return_id, order_number, component, currency,
        case component when 'shipping' then shipping else -fee end as amount,
        happened_at, is_pending,
        case component when 'shipping' then 'shipping ' || shipping_rule
            else 'fee per ' || fee_basis || ', ' || coalesce(dropoff_method, 'no drop-off method')
        end as source
    from expected_pairs, unnest(['shipping', 'fee']) as components (component)
),

-- The difference of an exchange is settled outside Centra: by the row's own price difference, or by the prices of both
-- articles where the row names a replacement order that Centra has with a price.
exchanges as (
    select
        refunds.return_id, refunds.order_number, 'exchange' as component, refunds.currency,
        greatest(0, coalesce(sold.difference, -refunds.price_difference)) as amount,
        coalesce(refunds.issued_at, refunds.source_time) as happened_at, refunds.status = 'pending' as is_pending,
        case when sold.difference is not null then 'prices of both articles' else 'price difference as told' end
            as source,
        refunds.refund_id
    from staging.refunds
    semi join money_orders using (order_number)
    left join (
        select
            paid.refund_id, sum(units.unit_price - units.voucher_share) - any_value(replacement.value) as difference
        from staging.refund_units as paid
        join known_units as units using (return_item_id)
        join staging.refunds using (refund_id)
        join (
            select order_number, currency, sum(unit_original_price * quantity) as value
            from staging.order_lines
            join staging.orders using (order_number)
            group by order_number, currency
            having min(unit_original_price) > 0
        ) as replacement
            on replacement.order_number = refunds.exchange_order_number and replacement.currency = refunds.currency
        where units.currency = refunds.currency
        group by paid.refund_id
        having count(*) = (select count(*) from staging.refund_units as every where every.refund_id = paid.refund_id)
    ) as sold using (refund_id)
    where refunds.refund_type = 'exchange' and refunds.status in ('issued', 'pending')
        and coalesce(sold.difference, refunds.price_difference) is not null
)

select
    'expected' as side,
    concat_ws(' ', 'expected', return_item_id, component) as fact_id,
    return_id,
    order_number,
    return_item_id,
    component, currency, amount, 0 as in_goods, happened_at, is_pending, source
from units where amount <> 0 or component = 'items'
union all by name
select
    'expected' as side,
    concat_ws(' ', 'expected', return_id, order_number, currency, component) as fact_id,
    return_id,
    order_number,
    component, currency, amount, 0 as in_goods, happened_at, is_pending, source
from pairs where amount <> 0
union all by name
select
    'expected' as side,
    concat_ws(' ', 'expected', refund_id, component) as fact_id,
    return_id,
    order_number,
    component,
    currency,
    amount, 0 as in_goods, happened_at, is_pending, source
from exchanges;

-- ---------------------------------------------------------------- Happy Returns

-- One row per refund row and unit that it pays (one without a unit where none is known), with the unit's weight.
create or replace temp table told_units as
with
weighed as (
    select
        refunds.refund_id, units.return_item_id, refunds.currency,
        coalesce(matched.unit_price - coalesce(matched.voucher_share, 0), 0) as price
    from staging.refunds
    semi join money_orders using (order_number)
    left join staging.refund_units as units using (refund_id)
    left join matching.matched_items as matched using (return_item_id)
    where refunds.status in ('issued', 'pending')
),

positive as (
    select *, case when min(price) over (partition by refund_id) > 0 then price else 1 end as weight from weighed
)

select
    refund_id, return_item_id, sum(weight) over row_so_far - weight as before, sum(weight) over row_so_far as upto,
    sum(weight) over (partition by refund_id) as whole,
    row_number() over row_so_far as place, count(*) over (partition by refund_id) as units
from positive
window row_so_far as (partition by refund_id order by return_item_id rows between unbounded preceding and current row);

insert into reconciliation.refund_facts by name
with
rows_told as (
    select
        refunds.*, coalesce(issued_at, source_time) as happened_at, status = 'pending' as is_pending,
        source_file || ':' || source_line as source
    from staging.refunds
    semi join money_orders using (order_number)
    where status in ('issued', 'pending')
),

-- Costs are compared with tax: what is told before it gets Centra's own tax of that cost, shared over the rows.
with_tax as (
    select
        rows_told.* replace (
            told_with_tax(shipping_told, shipping_tax, shipping, taxed.reported_costs, currency) - told_with_tax(
                shipping_told - shipping_refund, shipping_tax, shipping, taxed.reported_costs, currency
            ) as shipping_refund,
            told_with_tax(fee_told, fee_tax, fee, taxed.reported_costs, currency) - told_with_tax(
                fee_told - processing_fee, fee_tax, fee, taxed.reported_costs, currency
            ) as processing_fee
        )
    from (
        select
            *,
            (sum(shipping_refund) over so_far)::decimal(18, 4) as shipping_told,
            (sum(processing_fee) over so_far)::decimal(18, 4) as fee_told
        from rows_told
        window
            so_far as (
                partition by return_id, order_number, currency
                order by refund_id rows between unbounded preceding and current row
            )
    ) as rows_told
    left join costs_taxed as taxed using (return_id, order_number)
),

-- One row per amount of a row. A fee per item belongs to the units, a fee per return and shipping to the whole return.
amounts as (
    select
        rows_told.refund_id, return_id, order_number, currency, happened_at, is_pending, source, component,
        case component
            when 'items' then item_subtotal - coalesce(discount, 0)
            when 'tax' then tax
            when 'shipping' then shipping_refund
            when 'fee' then -processing_fee
            else total_refunded
        end as amount,
        component in ('items', 'tax', 'exchange')
        or (component = 'fee' and fee_basis is not distinct from 'item') as is_of_units
    from with_tax as rows_told, unnest(['items', 'tax', 'shipping', 'fee', 'exchange']) as components (component)
    where (component = 'exchange') = (refund_type = 'exchange')
),

shared as (
    select
        amounts.*, return_item_id, units,
        case when component = 'fee' then place - 1 else before end as before,
        case when component = 'fee' then place else upto end as upto,
        case when component = 'fee' then units else whole end as whole
    from amounts
    join told_units using (refund_id)
    where is_of_units and amount is not null
)

select
    'happy_returns' as side,
    concat_ws(' ', 'happy_returns', refund_id, coalesce(return_item_id, '-'), component) as fact_id,
    return_id, order_number, return_item_id, component, currency,
    case when units = 1 then amount else part_of(amount, before, upto, whole, currency) end as amount,
    0 as in_goods, happened_at, is_pending, source
from shared
union all by name
select
    'happy_returns' as side,
    concat_ws(' ', 'happy_returns', refund_id, '-', component) as fact_id,
    return_id,
    order_number,
    component, currency, amount, 0 as in_goods, happened_at, is_pending, source
from amounts where not is_of_units and amount <> 0;

-- ---------------------------------------------------------------- Centra: what no pull has shown yet

-- Credits that a push has just confirmed and that no pull has shown yet: as planned, which Centra's total was checked against.
create or replace temp table fresh_facts as
with
fresh as (
    select ledger.*
    from push.ledger
    semi join money_orders using (order_number)
    anti join (select distinct effect_key from carried) as shown using (effect_key)
    where ledger.state = 'confirmed' and not ledger.is_foreign
        and ledger.effect_kind in ('credit_note', 'exchange_order', 'return_fee', 'shipping_refund')
        -- A replacement that was made from a Return that was there (by hand, or ordered again) has no key on it.
        and not (ledger.effect_kind = 'exchange_order' and ledger.return_item_id in (
            select return_item_id from return_pieces where return_item_id is not null
        ))
)

select
    'centra' as side,
    concat_ws(' ', 'centra', fresh.effect_key, component) as fact_id,
    fresh.return_id,
    fresh.order_number,
    fresh.return_item_id, component, fresh.currency,
    case component
        when 'items' then coalesce(planned.items, units.gross - units.tax)
        -- what was really given: Centra may have settled the tax
        when 'tax' then coalesce(fresh.amount - planned.items, units.tax)
        when 'shipping' then fresh.amount
        when 'fee' then -case fresh.effect_kind when 'return_fee' then fresh.amount else planned.fee end
        else 0
    end as amount,
    case component
        when 'exchange' then coalesce(matched.unit_price - coalesce(matched.voucher_share, 0), 0) else 0
    end as in_goods,
    fresh.updated_at as happened_at, true as is_pending, 'packet ' || coalesce(fresh.packet_key, '?') as source
from fresh
left join effects.pending_credit_notes as planned on planned.effect_key = fresh.effect_key
left join expected_units as units on units.return_item_id = fresh.return_item_id
left join matching.matched_items as matched on matched.return_item_id = fresh.return_item_id,
    unnest(['items', 'tax', 'shipping', 'fee', 'exchange']) as components (component)
where component in ('items', 'tax')
    and fresh.effect_kind = 'credit_note'
    and coalesce(planned.items, units.gross) is not null
    or component = 'shipping' and fresh.effect_kind = 'shipping_refund'
    or component = 'fee'
    and (fresh.effect_kind = 'return_fee' or fresh.effect_kind = 'credit_note' and planned.fee <> 0)
    or component = 'exchange' and fresh.effect_kind = 'exchange_order';

insert into reconciliation.refund_facts by name
from fresh_facts;
