-- changes: findings
-- kind:  exception
-- grain: one row per unit and kind of money or goods that it was given as something else
-- exception:    corrected_after_credit
-- subject:      credit, exchange
-- owner:        customer_service
-- window_hours: 0
-- precedence:   82
-- severity:     error
-- family:       orphaned_returns
-- outranked:    told
-- opens:        Happy Returns now reports a unit with another order, another return or another article
--               (or line, at another price) than the one it was credited or exchanged as.
-- closes:       Happy Returns names again what was done, the replacement order holds what is asked for, or our
--               Return is gone. What was settled by hand is closed in the workbook, with the decision
--               `write_off`.

-- Happy Returns says of a unit now that it is of another order, another return or another article than it was when an effect of it
-- went out. What was done stays, and a person corrects it.

create or replace temp table corrected_credits as
with
-- One row per unit and kind: what was granted last.
last_grants as (
    select ledger.*
    from push.ledger
    where gives_value(ledger.effect_kind)
        and ledger.state in ('sending', 'unknown', 'confirmed')
        and ledger.return_item_id in (
            select return_item_id from staging.return_items semi join matching.orders_in_play using (order_number)
        )
    qualify row_number() over (
            partition by ledger.return_item_id, ledger.effect_kind
            order by ledger.confirmed_at desc nulls last, ledger.effect_key
        ) = 1
),

-- The same rows, with the article as which it was granted.
granted_goods as (
    select last_grants.*, before.sku as sku_before, before.order_number as order_before, before.unit_price as price_before
    from last_grants
    left join (
        select lines.shipment_line_id, lines.order_number, lines.unit_price, sold.sku
        from staging.shipment_lines as lines
        semi join last_grants using (shipment_line_id)
        join staging.order_lines as sold using (order_line_id)
    ) as before using (shipment_line_id)
)

select
    'corrected_after_credit' as kind,
    case granted_goods.effect_kind when 'exchange_order' then 'exchange' else 'credit' end as subject,
    'fix_centra' as class,
    'data_gap' as cause,
    'happy_returns' as culprit,
    items.return_id, items.return_item_id, items.order_number, matched.present_sku as sku, granted_goods.currency,
    coalesce(granted_goods.amount, granted_goods.price_before) as amount,
    items.source_time as fact_at,
    case granted_goods.effect_kind when 'exchange_order' then 'Exchanged' else 'Credited' end || ' as '
    || concat_ws(
        ', ',
        coalesce(granted_goods.sku_before, 'an article')
        || ' of order '
        || coalesce(granted_goods.order_before, granted_goods.order_number),
        case when granted_goods.price_before is not null then money_text(granted_goods.price_before, granted_goods.currency) end,
        'return ' || granted_goods.return_id
    ) || ' (' || coalesce(granted_goods.centra_id, 'in doubt') || '); Happy Returns now says '
    || concat_ws(
        ', ',
        coalesce(matched.present_sku, items.sku, 'an article that it does not name')
        || ' of order '
        || items.order_number,
        'return ' || items.return_id
    ) as detail,
    'Ask which is right. Settle the difference by hand in Centra; to redo it with the corrected data, delete our Return there and '
    || '`hr-centra adopt ' || items.return_id || '`.' as next_step,
    json_object(
        'source_file',
        items.source_file,
        'source_line',
        items.source_line,
        'order_before',
        coalesce(granted_goods.order_before, granted_goods.order_number),
        'sku_before', granted_goods.sku_before, 'return_before', granted_goods.return_id, 'centra_id', granted_goods.centra_id
    ) as evidence
from granted_goods
join staging.return_items as items using (return_item_id)
semi join matching.orders_in_play as in_play on in_play.order_number = items.order_number
join matching.matched_items as matched on matched.return_item_id = granted_goods.return_item_id
where matched.is_corrected
    or granted_goods.return_id is distinct from coalesce(items.return_id, granted_goods.return_id)
    or coalesce(granted_goods.order_before, granted_goods.order_number) is distinct from items.order_number;

insert into findings by name from corrected_credits;

-- One row per unit of which Happy Returns asks for another article than was ordered. Which article a person orders by hand, or
-- puts into the order, is that person's decision.
insert into findings by name
with
-- One row per replacement and article that its packet sent.
sent_replacements as (
    select
        packet_key,
        replacement ->> 'sku' as sku,
        unnest(from_json(replacement -> 'members', '["varchar"]')) as effect_key
    from (
        select packet_key, unnest(from_json(payload -> 'replacements', '["json"]')) as replacement
        from push.packets
        where packet_key in (
                select packet_key
                from push.ledger
                where effect_key in (select evidence ->> 'replacement_key' from latest_replacements)
            )
    )
)

select
    'corrected_after_credit' as kind,
    'exchange' as subject,
    'fix_centra' as class,
    'data_gap' as cause,
    'happy_returns' as culprit,
    latest.return_id, latest.return_item_id, latest.order_number, latest.sku, latest.currency,
    latest.unit_price as amount,
    items.source_time as fact_at,
    latest.replacement_sku
    || ' was ordered as its replacement (order '
    || coalesce(latest.replacement_order_number, '-')
    || case latest.state when 'shipped' then ', shipped' else '' end
    || '); Happy Returns now asks for '
    || items.exchange_sku as detail,
    'Ask the shopper which article is wanted. If it is ' || items.exchange_sku || case latest.state
        when 'shipped' then ': settle it by hand, then write this off in the workbook.'
        else ': put it into the replacement order in place of '
            || latest.replacement_sku
            || ' before it is shipped. Else have Happy '
            || 'Returns correct the row.'
    end as next_step,
    json_merge_patch(latest.evidence, json_object(
        'source_file', items.source_file, 'source_line', items.source_line, 'ordered_sku', latest.replacement_sku,
        'asked_sku', items.exchange_sku
    )) as evidence
from latest_replacements as latest
join staging.return_items as items using (return_item_id)
join push.ledger on ledger.effect_key = (latest.evidence ->> 'replacement_key') and ledger.packet_key is not null
left join sent_replacements on sent_replacements.packet_key = ledger.packet_key and sent_replacements.effect_key = ledger.effect_key
where latest.state in ('ordered', 'shipped') and items.refund_type = 'exchange'
    and latest.replacement_sku <> items.exchange_sku
    and sent_replacements.sku is distinct from items.exchange_sku
    and latest.return_item_id not in (
        select return_item_id from corrected_credits where subject = 'exchange'
    );

-- closing
insert into proofs by name
select
    unseen.exception_id,
    proven_by('as_done', 'Happy Returns again reports what was done, or it was reverted') as proof
from unseen
semi join known_units using (return_item_id)
where unseen.kind = 'corrected_after_credit';
