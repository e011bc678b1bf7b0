-- double_credit, double_restock and refund_without_credit_note: value or goods given back twice, or for nobody knows which unit.

-- One row per unit for which more was given back than was paid.
insert into findings by name
select
    'double_credit' as kind,
    'credit' as subject,
    'fix_centra' as class,
    'amount_mismatch' as cause,
    case
        when foreign_refund > 0 then external.made_by
        when tied_refund > 0 then 'person'
        when elsewhere > 0 then 'happy_returns'
        else 'unknown'
    end as culprit,
    value.return_id, value.return_item_id, value.order_number, units.sku, value.currency,
    value.too_much as amount,
    coalesce((
        select max(entries.created_at) from staging.payment_entries as entries
        where entries.order_number = value.order_number and entries.is_refund
    ), $now) as fact_at,
    'Given back for it: ' || money_text(value.given, value.currency) || ', paid were ' || money_text(value.paid, value.currency)
        || ' (' || concat_ws(', ',
            case when refund > 0 then 'refund ' || money_text(refund, value.currency) end,
            case when gift_card > 0 then 'store credit ' || money_text(gift_card, value.currency) end,
            case when exchange > 0 then 'replacement ' || money_text(exchange, value.currency) end,
            case when elsewhere > 0 then 'elsewhere ' || money_text(elsewhere, value.currency) end,
            case when foreign_refund > 0 then 'by ' || maker_text(external.made_by) || ' ' || money_text(foreign_refund, value.currency) end,
            case when tied_refund > 0 then 'without a Return ' || money_text(tied_refund, value.currency) end,
            case when chargeback > 0 then 'chargeback ' || money_text(chargeback, value.currency) end
        ) || ')' as detail,
    'Claim it back from the shopper or accept the loss; money is never clawed back by itself.' as next_step,
    json_merge_patch(units.evidence, json_object('root_order', root_order, 'chain_depth', chain_depth)) as evidence
from effects.value_given_back as value
join known_units as units using (return_item_id)
left join staging.centra_returns as external on external.centra_return_id = units.foreign_centra_return_id
semi join matching.orders_in_play on orders_in_play.order_number = value.order_number
where value.too_much > 0 and not value.is_in_doubt;

-- One row per external Return with paid pieces that no unit of Happy Returns has, on a line of which a unit was
-- credited by us: made for a return that it names, or while that unit's credit was under way.
create or replace temp table doubled_returns as
with
adopted as (
    select foreign_centra_return_id as centra_return_id, shipment_line_id, count(*) as units
    from matching.matched_items where foreign_centra_return_id is not null
    group by all
),

surplus as (
    select
        returns.centra_return_id, returns.order_number, returns.currency, returns.created_at, returns.made_by, returns.express_codes,
        lines.shipment_line_id, lines.line_value, lines.quantity, lines.quantity - coalesce(adopted.units, 0) as pieces
    from staging.centra_returns as returns
    semi join matching.orders_in_play using (order_number)
    join staging.centra_return_lines as lines using (centra_return_id)
    left join adopted on adopted.centra_return_id = returns.centra_return_id and adopted.shipment_line_id = lines.shipment_line_id
    where returns.deleted_at is null and returns.packet_key is null and len(coalesce(returns.effect_keys, [])) = 0
        and lines.quantity > coalesce(adopted.units, 0)
        and exists (
            select 1 from staging.payment_entries as entries
            where entries.centra_return_id = returns.centra_return_id and policy.is_given(entries.money)
        )
        -- Ours, even when somebody has emptied its comment.
        and returns.centra_return_id::varchar not in (
            select centra_id from push.packets where centra_id is not null and operation in ('credit', 'exchange')
        )
)

select
    surplus.centra_return_id, surplus.order_number, surplus.currency, surplus.created_at, surplus.made_by,
    units.return_id, units.return_item_id, units.sku,
    share_of(surplus.line_value, surplus.pieces::decimal(18, 4), surplus.quantity::decimal(18, 4), surplus.currency) as amount,
    ledger.centra_id as ours
from surplus
join push.ledger on ledger.shipment_line_id = surplus.shipment_line_id and ledger.effect_kind in ('credit_note', 'exchange_order')
    and ledger.state = 'confirmed' and not ledger.is_foreign
join known_units as units on units.return_item_id = ledger.return_item_id
join staging.return_items as items on items.return_item_id = ledger.return_item_id
left join push.packets on packets.packet_key = ledger.packet_key
where list_has_any(coalesce(surplus.express_codes, []), [items.express_code, items.return_id])
    or (surplus.created_at >= items.return_created_at and surplus.created_at <= coalesce(ledger.confirmed_at, ledger.updated_at) + interval 1 hour)
qualify row_number() over (
    partition by surplus.centra_return_id, surplus.shipment_line_id
    order by list_has_any(coalesce(surplus.express_codes, []), [items.express_code, items.return_id]) desc,
        ledger.confirmed_at desc, units.return_item_id
) = 1;

insert into findings by name
select
    'double_credit' as kind, 'credit' as subject, 'Return ' || doubled.centra_return_id as identity,
    'fix_centra' as class, 'data_gap' as cause, doubled.made_by as culprit,
    doubled.return_id, doubled.return_item_id, doubled.order_number, doubled.sku, doubled.currency, doubled.amount,
    doubled.created_at as fact_at,
    'Return ' || doubled.centra_return_id || ', made by ' || maker_text(doubled.made_by)
        || ', was refunded on the line of a unit that hr-centra credited too (' || coalesce(ours, '-') || ')' as detail,
    ask_maker(doubled.made_by) || ': was it for the same unit? Then claim the money back; else note for which unit it was.' as next_step,
    json_merge_patch(units.evidence, json_object('centra_return_id', doubled.centra_return_id, 'ours', ours)) as evidence
from doubled_returns as doubled
join known_units as units using (return_item_id);

-- One row per effect key that stands in two objects of Centra: ours, done twice.
insert into findings by name
with
twice as (
    select
        observed.effect_key, observed.place, count(distinct observed.centra_id) as times, max(observed.seen_at) as seen_at,
        string_agg(distinct observed.centra_id, ', ') as centra_ids
    from effects.observed
    where observed.place in ('return', 'stock_change') and observed.effect_key in (
        select effect_key from push.ledger semi join matching.orders_in_play using (order_number)
    )
    group by observed.effect_key, observed.place
    having count(distinct observed.centra_id) > 1
)

select
    case place when 'return' then 'double_credit' else 'double_restock' end as kind,
    case place when 'return' then 'credit' else 'stock' end as subject,
    ledger.effect_key as identity,
    'fix_pipeline' as class, 'system_error' as cause, 'pipeline' as culprit,
    ledger.return_id, ledger.return_item_id, ledger.order_number, units.sku, coalesce(ledger.currency, units.currency) as currency,
    coalesce(ledger.amount, units.unit_price) as amount,
    twice.seen_at as fact_at,
    'One effect of ours stands ' || times || ' times in Centra: ' || centra_ids as detail,
    'Take the surplus back in Centra, and tell the maintainers: this must not happen.' as next_step,
    json_object('effect_key', ledger.effect_key, 'centra_ids', centra_ids) as evidence
from twice
join push.ledger using (effect_key)
left join known_units as units using (return_item_id);

-- One row per unit that we put back, and that an external Return had put back too.
insert into findings by name
with
-- Few external Returns put anything back: the keys of our movements are made for those alone.
put_back_by_hand as materialized (
    select
        units.return_item_id, units.return_id, units.order_number, units.sku, units.currency, units.unit_price, units.evidence,
        returns.centra_return_id, returns.created_at, returns.made_by
    from (
        select centra_return_id, created_at, made_by from staging.centra_returns where deleted_at is null and returned_to_stock
    ) as returns
    join matching.matched_items as matched on matched.foreign_centra_return_id = returns.centra_return_id
    join known_units as units on units.return_item_id = matched.return_item_id
    semi join matching.orders_in_play on orders_in_play.order_number = units.order_number
)

select
    'double_restock' as kind, 'stock' as subject, 'Return ' || units.centra_return_id as identity,
    'fix_centra' as class, 'data_gap' as cause, units.made_by as culprit,
    units.return_id, units.return_item_id, units.order_number, units.sku, units.currency, units.unit_price as amount,
    units.created_at as fact_at,
    'Return ' || units.centra_return_id || ', made by ' || maker_text(units.made_by) || ', put the unit back into stock, and so did hr-centra (stock change '
        || changes.stock_change_id || ')' as detail,
    'Count the article and take one piece out again in Centra.' as next_step,
    json_merge_patch(units.evidence, json_object('centra_return_id', units.centra_return_id, 'stock_change_id', changes.stock_change_id)) as evidence
from put_back_by_hand as units
join push.ledger on ledger.effect_key = effect_key('inventory_adjustment', [units.return_item_id, '1']) and ledger.state = 'confirmed'
join (
    select stock_change_id, bool_and(quantity > 0) as is_in from staging.stock_changes group by stock_change_id
) as changes on changes.stock_change_id::varchar = ledger.centra_id
where changes.is_in;

-- One row per order whose refunds are looked at: those in play, and those with a refund without a Return (or with one since the
-- exception was opened) that no return names at all, of which nothing else here would ever be looked at.
create or replace temp table orders_of_refunds as
select order_number from matching.orders_in_play
union
select entries.order_number
from (
    select distinct order_number from staging.payment_entries
    where policy.is_given(money) and (
        centra_return_id is null
        or order_number in (select order_number from reconciliation.exceptions where kind = 'refund_without_credit_note')
    )
) as entries
anti join staging.return_items using (order_number)
anti join staging.returns using (order_number)
anti join staging.refunds using (order_number)
anti join staging.centra_returns using (order_number);

-- One row per refund without a Return that nobody has tied; and per Return of ours with money on it that is gone.
insert into findings by name
select
    'refund_without_credit_note' as kind, 'refund' as subject, 'Payment entry ' || entries.entry_id as identity,
    'fix_centra' as class, 'data_gap' as cause, 'person' as culprit,
    entries.order_number, entries.currency, abs(entries.amount) as amount,
    entries.created_at as fact_at,
    'Somebody refunded ' || money_text(abs(entries.amount), entries.currency) || ' on order ' || entries.order_number || ' without a Return'
        as detail,
    'Say for which units it was, or that it is unrelated: `hr-centra tie ' || entries.entry_id || '`. Until then nothing is paid on the order.'
        as next_step,
    json_object('entry_id', entries.entry_id, 'entry_type', entries.entry_type, 'external_reference', entries.external_reference) as evidence
from staging.payment_entries as entries
semi join orders_of_refunds using (order_number)
where entries.centra_return_id is null
    and policy.is_given(entries.money)
    and not exists (select 1 from push.ties where ties.what = 'refund' and ties.centra_id in (entries.entry_id::varchar, entries.request_id::varchar))
    -- A credit that pays elsewhere, and the only one of that amount on its order, is what it was for.
    and not exists (
        select 1 from staging.centra_returns as returns
        join staging.orders using (order_number)
        where returns.order_number = entries.order_number and returns.deleted_at is null and returns.packet_key is not null
            and abs(returns.grand_total - abs(entries.amount)) <= policy.tax_slack(orders.tax_mode, returns.tax, returns.currency)
            and not exists (select 1 from staging.payment_entries as own where own.centra_return_id = returns.centra_return_id)
            -- The Return of an exchange gives goods.
            and not exists (
                select 1 from (select unnest(returns.effect_keys) as effect_key) as members
                join push.ledger using (effect_key)
                where ledger.effect_kind = 'exchange_order'
            )
        having count(*) = 1
    );

-- One row per unit whose confirmed Return somebody has deleted: with the money gone, or without.
insert into findings by name
with
-- By the packet that made it; by the keys that it carried when the packet is lost.
keys as (
    select centra_return_id, unnest(members) as effect_key from gone_returns
    union
    select centra_return_id, unnest(effect_keys) as effect_key from staging.centra_returns
    semi join matching.orders_in_play using (order_number)
    where deleted_at is not null
),

gone as (
    select
        keys.*,
        exists (
            select 1 from staging.payment_entries as entries
            where entries.centra_return_id = keys.centra_return_id and policy.is_given(entries.money)
        ) as is_paid
    from keys
    anti join (
        select unnest(effect_keys) as effect_key from staging.centra_returns
        semi join matching.orders_in_play using (order_number)
        where deleted_at is null
    ) as made_again using (effect_key)
)

select
    case when is_paid then 'refund_without_credit_note' else 'return_without_credit_note' end as kind,
    case ledger.effect_kind when 'exchange_order' then 'exchange' else 'credit' end as subject,
    'fix_centra' as class, 'data_gap' as cause, 'person' as culprit,
    ledger.return_id, ledger.return_item_id, ledger.order_number, units.sku, coalesce(ledger.currency, units.currency) as currency,
    coalesce(ledger.amount, units.unit_price) as amount,
    -- Deleted before a pull has shown it once: some time after we made it.
    coalesce(returns.deleted_at, (
        select min(done_at) from gone_returns where gone_returns.centra_return_id = gone.centra_return_id
    ), $now) as fact_at,
    'Our Return ' || gone.centra_return_id || ' is gone in Centra: somebody deleted it' || case when is_paid then ', the money is given all the same'
        else '; it is not made again by itself' end as detail,
    'Ask who deleted it and why. To have it made again: `hr-centra adopt` the return.' as next_step,
    json_merge_patch(units.evidence, json_object('centra_return_id', gone.centra_return_id, 'effect_key', ledger.effect_key)) as evidence
from gone
join push.ledger using (effect_key)
join known_units as units on units.return_item_id = ledger.return_item_id
left join staging.centra_returns as returns on returns.centra_return_id = gone.centra_return_id
where ledger.state = 'confirmed';

-- One row per unit whose confirmed Return somebody has uncompleted: it is no credit note any more, and could be changed, paid once
-- more or (unpaid) deleted. It is not completed again by itself.
insert into findings by name
select
    case when payments.centra_return_id is not null then 'refund_without_credit_note' else 'return_without_credit_note' end as kind,
    case ledger.effect_kind when 'exchange_order' then 'exchange' else 'credit' end as subject,
    'fix_centra' as class, 'data_gap' as cause, 'person' as culprit,
    ledger.return_id, ledger.return_item_id, ledger.order_number, units.sku, coalesce(ledger.currency, units.currency) as currency,
    coalesce(ledger.amount, units.unit_price) as amount,
    returns.fetched_at as fact_at,
    'Our Return ' || returns.centra_return_id || case
            when is_another then ' was made in the place of one that is gone, and is not completed'
            else ' is not completed any more: somebody uncompleted it in Centra' end
        || case when payments.centra_return_id is not null then '; its money was given all the same' else '' end as detail,
    case when is_another then 'To have it finished: `hr-centra adopt` the return.'
        else 'Ask who uncompleted it and why, and complete it again in Centra.' end as next_step,
    json_merge_patch(units.evidence, json_object('centra_return_id', returns.centra_return_id, 'effect_key', ledger.effect_key)) as evidence
from (
    select *, unnest(effect_keys) as effect_key from staging.centra_returns
    semi join matching.orders_in_play using (order_number)
    where deleted_at is null and is_completed = false
) as returns
join push.ledger using (effect_key)
join known_units as units on units.return_item_id = ledger.return_item_id
left join (
    select distinct centra_return_id from staging.payment_entries
    where centra_return_id is not null and policy.is_given(money)
) as payments on payments.centra_return_id = returns.centra_return_id
-- A database that was restored knows of the one before, under the same key.
left join (
    select packet_key, made_return_id as other_return_id from packet_returns where made_return_id is not null
) as others on others.packet_key = returns.packet_key
cross join lateral (select coalesce(other_return_id <> returns.centra_return_id, false) as is_another)
where ledger.effect_kind in ('credit_note', 'exchange_order') and ledger.state = 'confirmed'
    -- Seen before we had completed it: that is what the next pull shows.
    and (is_another or returns.fetched_at > coalesce(ledger.confirmed_at, ledger.updated_at));
