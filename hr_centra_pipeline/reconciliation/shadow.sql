-- makes: reconciliation.shadow
-- kind:  table
-- grain: one row per unit: what the pipeline would have done next to what others did

-- What the pipeline would have done next to what people and other integrations did in Centra, unit by unit, whatever mode and
-- cut-over say. What we did ourselves is left out. `sided_with`: whom Happy Returns' own rows bear out where the two differ.
create or replace temp table shadow_credits as
with
-- One row per unit that we may credit.
our_units as (
    select
        units.*,
        units.unit_price - units.voucher_share as gross,
        units.credit_due_at is not null and not units.is_refused as is_due
    from known_units as units
    where units.refund_type <> 'exchange'
        and units.return_item_id not in (
            select return_item_id from carried_effects where return_item_id is not null and not is_deleted
            union all
            select return_item_id from fresh_facts where return_item_id is not null
        )
),

-- One row per unit that others credited.
their_credits as (
    select
        pieces.return_item_id, pieces.centra_return_id, pieces.gross, states.created_at, returns.made_by,
        row_number() over (partition by pieces.centra_return_id, pieces.return_id order by pieces.return_item_id)
        = 1 as is_first
    from return_pieces as pieces
    join return_states as states using (centra_return_id)
    join staging.centra_returns as returns using (centra_return_id)
    where pieces.is_foreign and pieces.return_item_id is not null
),

both_sides as (
    select
        our_units.return_item_id,
        our_units.return_id,
        our_units.order_number,
        our_units.sku,
        our_units.currency,
        our_units.is_due,
        our_units.is_refused,
        our_units.credit_due_at,
        our_units.credit_trigger,
        our_units.tax_mode,
        our_units.unit_tax,
        their_credits.centra_return_id,
        their_credits.created_at as their_at,
        their_credits.made_by,
        our_units.gross as our_gross, their_credits.gross as their_gross,
        coalesce(costs.shipping + taken_off(costs.fee), 0) as their_costs,
        row_number() over (
            partition by our_units.return_id, our_units.order_number, our_units.is_due
            order by their_credits.return_item_id is null, our_units.return_item_id
        ) = 1 as is_first_due
    from our_units
    left join their_credits using (return_item_id)
    left join return_costs as costs
        on costs.centra_return_id = their_credits.centra_return_id
            and costs.return_id = our_units.return_id
            and their_credits.is_first
)

select
    both_sides.*,
    case
        when is_due then our_gross + case when is_first_due then coalesce(pairs.shipping + taken_off(pairs.fee), 0) else 0 end
    end as our_amount,
    their_gross + their_costs as their_amount
from both_sides
left join expected_costs as pairs
    on pairs.return_id = both_sides.return_id
        and pairs.order_number = both_sides.order_number
        and pairs.currency = both_sides.currency;

-- One row per return on an order: both totals, and Happy Returns'.
create or replace temp table shadow_pairs as
with
-- One row per return, order and currency.
return_sums as (
    select
        return_id, order_number, currency,
        sum(our_amount) filter (where their_amount is not null) as ours,
        sum(their_amount) filter (where is_due) as theirs,
        any_value(tax_mode) as tax_mode, coalesce(sum(unit_tax), 0)::decimal(18, 4) as tax
    from shadow_credits
    group by all
)

select
    return_sums.* exclude (tax_mode, tax), reported_returns.amount as told,
    -- where Centra adds the tax, it is nobody's decision to the cent
    policy.tax_slack(tax_mode, tax, return_sums.currency) as slack
from return_sums
left join (
    select return_id, order_number, currency, sum(amount) as amount from reconciliation.refund_facts
    semi join money_orders using (order_number)
    where side = 'happy_returns' and component <> 'exchange' group by all
) as reported_returns
    on reported_returns.return_id = return_sums.return_id
        and reported_returns.order_number = return_sums.order_number
        and reported_returns.currency = return_sums.currency;

delete from reconciliation.shadow where order_number in (select order_number from money_orders) or order_number is null;
insert into reconciliation.shadow by name
with
windows as (
    select
        max(window_hours) filter (where effect_kind = 'credit_note')
        + any_value(amount_wait_hours) as credit_hours,
        max(window_hours) filter (where effect_kind = 'inventory_adjustment') as stock_hours,
        max(window_hours) filter (where effect_kind = 'exchange_order') as exchange_hours
    from policy.exception_kinds as rules
    join policy.effect_types on effect_types.missing = rules.kind
    cross join policy.parameters
),

credits as (
    select
        'credit_note ' || return_item_id as shadow_id, 'credit_note' as effect_kind,
        case
            when is_due and their_amount is not null and is_first_due
                and abs(pairs.ours - pairs.theirs) > greatest(coalesce(tolerance.absolute, 0), pairs.slack)
                then 'amounts_differ'
            when is_due and their_amount is not null then 'same'
            when is_due and credit_due_at + to_hours(windows.credit_hours::integer) > $now then 'too_early'
            when is_due then 'we_would_they_did_not'
            when their_amount is not null then 'they_did_we_would_not'
        end as outcome,
        return_id, return_item_id, order_number, sku, currency, our_amount, their_amount,
        case
            when is_due and their_amount is not null then case when is_first_due then abs(pairs.ours - pairs.theirs) else 0 end
            else coalesce(our_amount, their_amount)
        end as at_stake,
        case when is_due then credit_due_at end as our_at, their_at,
        case
            when is_due and their_amount is not null
                then case
                        when abs(pairs.told - pairs.ours) <= greatest(coalesce(tolerance.absolute, 0), pairs.slack) then 'us'
                        when abs(pairs.told - pairs.theirs) <= greatest(coalesce(tolerance.absolute, 0), pairs.slack) then 'them'
                        else 'nobody'
                    end
            when is_due then case when paid.refund_id is not null then 'us' else 'nobody' end
            else case when paid.refund_id is not null then 'them' else 'us' end
        end as sided_with,
        case
            when is_due and their_amount is not null
                then 'we ' || money_text(pairs.ours, currency) || ', they ' || money_text(pairs.theirs, currency)
                    || coalesce(', Happy Returns ' || money_text(pairs.told, currency), '')
            when is_due
                then 'due since '
                    || strftime(credit_due_at, '%Y-%m-%d')
                    || ' ('
                    || coalesce(credit_trigger, '?')
                    || '), nobody credited it'
            when is_refused then 'refused or missing, and credited by ' || maker_text(made_by)
            else 'not due by the policy ('
                || coalesce(credit_trigger, '?')
                || '), and credited by '
                || maker_text(made_by)
        end as detail,
        'Return ' || centra_return_id as source
    from shadow_credits
    join shadow_pairs as pairs using (return_id, order_number, currency)
    cross join windows
    left join policy.tolerance as tolerance using (currency)
    left join (from paid_units where status = 'issued') as paid using (return_item_id)
    where is_due or their_amount is not null
),

-- External Returns, or parts of them, that are nobody's unit.
unowned_credits as (
    select
        'Return ' || pieces.centra_return_id as shadow_id,
        'credit_note' as effect_kind,
        'they_did_we_would_not' as outcome,
        pieces.order_number, pieces.currency, sum(pieces.gross) as their_amount, sum(pieces.gross) as at_stake,
        any_value(states.created_at) as their_at, 'us' as sided_with,
        units_text(sum(pieces.pieces))
        || ' that Happy Returns does not know, credited by ' || maker_text(any_value(returns.made_by)) as detail,
        'Return ' || pieces.centra_return_id as source
    from return_pieces as pieces
    join return_states as states using (centra_return_id)
    join staging.centra_returns as returns using (centra_return_id)
    where pieces.return_item_id is null and returns.packet_key is null and len(coalesce(returns.effect_keys, [])) = 0
    group by pieces.centra_return_id, pieces.order_number, pieces.currency
    union all by name
    select
        'entry ' || entry_id as shadow_id,
        'credit_note' as effect_kind,
        'they_did_we_would_not' as outcome,
        order_number,
        currency,
        abs(amount) as their_amount, abs(amount) as at_stake, created_at as their_at, 'us' as sided_with,
        'refunded without a Return' as detail, 'payment entry ' || entry_id as source
    from staging.payment_entries
    semi join money_orders using (order_number)
    where centra_return_id is null and is_given_back(money)
),

-- Goods: an external Return that puts them back, or a stock change whose text names the return.
manual_bookings as (
    select
        units.return_item_id, returns.warehouse_id, returns.created_at, 'Return ' || returns.centra_return_id as source
    from known_units as units
    join staging.centra_returns as returns on returns.centra_return_id = units.foreign_centra_return_id
    where returns.returned_to_stock and returns.deleted_at is null
    union all
    select
        units.return_item_id,
        changes.warehouse_id,
        changes.created_at,
        'stock change ' || changes.stock_change_id as source
    from known_units as units
    join staging.returns as reported_returns using (return_id, order_number)
    join (
        select stock_change_id, sku, warehouse_id, created_at, named
        from booked_returns
    ) as changes
        on changes.sku = units.sku and list_has_any(changes.named, [reported_returns.return_id, reported_returns.express_code])
    qualify row_number() over (partition by units.return_item_id order by changes.created_at) = 1
),

goods as (
    select
        units.*,
        policy_units.restock_due_at,
        policy_units.target_warehouse_id,
        hand.warehouse_id,
        hand.created_at,
        hand.source as hand_source,
        hand.return_item_id is not null as is_booked,
        coalesce(policy_units.restock_due_at <= $now and policy_units.target_warehouse_id is not null, false) as is_due
    from known_units as units
    join effects.units as policy_units using (return_item_id)
    left join manual_bookings as hand using (return_item_id)
    anti join (
        select return_item_id
        from push.ledger
        where effect_kind = 'inventory_adjustment' and state = 'confirmed' and not is_foreign
    ) as confirmed_units using (return_item_id)
),

-- One row per unit whose goods are due or were put back.
stock_verdicts as (
    select
        'inventory_adjustment ' || return_item_id as shadow_id, 'inventory_adjustment' as effect_kind,
        case
            when is_due and is_booked and (warehouse_id is not distinct from target_warehouse_id) then 'same'
            when is_due and is_booked then 'amounts_differ'
            when is_due and restock_due_at + to_hours(windows.stock_hours::integer) > $now then 'too_early'
            when is_due then 'we_would_they_did_not'
            else 'they_did_we_would_not'
        end as outcome,
        return_id, return_item_id, order_number, sku, currency,
        case when is_due then unit_price end as our_amount, case when is_booked then unit_price end as their_amount,
        case
            when is_due and is_booked and (warehouse_id is not distinct from target_warehouse_id) then 0 else unit_price
        end as at_stake,
        case when is_due then restock_due_at end as our_at, created_at as their_at, 'us' as sided_with,
        case
            when is_due and is_booked
                then 'graded ' || disposition || ': we into warehouse ' || target_warehouse_id || ', they into '
                    || coalesce(warehouse_id::varchar, '?')
            when is_due then 'graded ' || disposition || ', nobody booked it'
            else 'booked by hand '
                || case when disposition is null then 'before it was graded' else 'although graded ' || disposition end
        end as detail,
        hand_source as source
    from goods
    cross join windows
    where is_due or is_booked
),

replacements as (
    select
        'exchange_order ' || units.return_item_id as shadow_id, 'exchange_order' as effect_kind,
        case
            when states.centra_return_id is not null and states.given > 0 then 'amounts_differ'
            when states.centra_return_id is not null then 'same'
            when units.credit_due_at + to_hours(windows.exchange_hours::integer) > $now then 'too_early'
            else 'we_would_they_did_not'
        end as outcome,
        units.return_id,
        units.return_item_id,
        units.order_number,
        units.sku,
        units.currency,
        units.unit_price as our_amount,
        case when states.centra_return_id is not null then units.unit_price end as their_amount,
        case when states.centra_return_id is not null and states.given = 0 then 0 else units.unit_price end as at_stake,
        units.credit_due_at as our_at, states.created_at as their_at, 'us' as sided_with,
        case
            when states.given > 0 then 'an exchange, and the money was refunded by ' || maker_text(returns.made_by)
            when states.centra_return_id is not null
                then 'a Return made by ' || maker_text(returns.made_by) || '; the replacement may have been sent too'
            else 'an exchange, and nobody ordered the replacement'
        end as detail,
        'Return ' || states.centra_return_id as source
    from known_units as units
    cross join windows
    left join return_states as states on states.centra_return_id = units.foreign_centra_return_id
    left join staging.centra_returns as returns on returns.centra_return_id = states.centra_return_id
    anti join (
        select return_item_id
        from push.ledger
        where effect_kind = 'exchange_order' and state = 'confirmed' and not is_foreign
    ) as confirmed_units using (return_item_id)
    where units.refund_type = 'exchange' and units.credit_due_at is not null and not units.is_refused
),

unowned_goods as (
    select
        'stock change ' || stock_change_id as shadow_id,
        'inventory_adjustment' as effect_kind,
        'they_did_we_would_not' as outcome,
        sku,
        created_at as their_at, 'us' as sided_with,
        units_text(units)
        || ' of nobody booked as a customer return' as detail,
        'stock change ' || stock_change_id as source
    from customer_returns
    anti join named_stock_changes using (stock_change_id)
),

-- One row per decision, ours or theirs.
shadow_rows as (
    from credits
    union all by name
    from unowned_credits
    union all by name
    from stock_verdicts
    union all by name
    from replacements
    union all by name
    from unowned_goods
)

select *, coalesce(our_at, their_at) as happened_at from shadow_rows;
