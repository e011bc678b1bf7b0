-- makes: is_given_back, is_refunded, is_refund_open, is_refund_failed, is_about_refund, is_captured, is_original_payment,
--        is_gift_card, is_returnless, is_received_returnless, is_by_mail, ends_at_drop_off,
--        in_warehouse_at, return_status_rank, taken_off, waiting_since, age_bucket_of, unmatched_text, effect_text,
--        instant_text, json_list, must_act_for
-- kind:  macro
-- grain: one fact per macro

-- Facts, each once: what a word or a column of the sources means wherever it is read. Created when the database is opened,
-- beside the macros of money.py and keys.py; DuckDB writes them out where they are used, so that each stays small.

-- ---------------------------------------------------------------- what a payment entry did to the money (`money`)

-- Money that counts as given back: what was refunded, and what was asked for and is not answered. Its Python twin:
-- `GIVEN_BACK` in core/words.py.
create or replace macro is_given_back(money) as money in ('refunded', 'refund_pending');
-- Given back for certain.
create or replace macro is_refunded(money) as money = 'refunded';
-- Asked for, and not answered.
create or replace macro is_refund_open(money) as money = 'refund_pending';
-- What failed gives nothing.
create or replace macro is_refund_failed(money) as money = 'refund_failed';
-- Part of giving money back, whatever came of it. Its Python twin: `REFUNDS` in core/words.py.
create or replace macro is_about_refund(money) as money in ('refunded', 'refund_pending', 'refund_failed', 'refund_answered');
create or replace macro is_captured(money) as money = 'captured';

-- ---------------------------------------------------------------- by which way it went (`instrument`)

-- To the payment that the order was paid with.
create or replace macro is_original_payment(instrument) as instrument = 'original';
create or replace macro is_gift_card(instrument) as instrument = 'gift_card';

-- ---------------------------------------------------------------- how goods come back (`dropoff_method`, `received_channel`)

-- The shopper keeps the goods. Never unknown.
create or replace macro is_returnless(received_channel, dropoff_method) as
(received_channel is not distinct from 'returnless') or (dropoff_method is not distinct from 'returnless');
-- The same of what was recorded at the receipt alone: the method may still be the one that was chosen.
create or replace macro is_received_returnless(received_channel) as (
    received_channel is not distinct from 'returnless'
);
-- By mail goods go straight to the warehouse.
create or replace macro is_by_mail(dropoff_method) as dropoff_method like 'mail%';
-- Handed in at a store of the retailer; Happy Returns spells it in two ways.
create or replace macro is_at_a_store(dropoff_method) as dropoff_method in ('in-store', 'retailer-store');
-- Where the first scan is the end of the way: goods by mail are in the warehouse then, goods handed in at a store stay there.
create or replace macro ends_at_drop_off(dropoff_method) as is_by_mail(dropoff_method) or is_at_a_store(dropoff_method);
-- When they are in the warehouse: the first scan of what goes straight there is that, too.
create or replace macro in_warehouse_at(goes_straight, received_at, warehouse_received_at) as
case when goes_straight then coalesce(received_at, warehouse_received_at) else warehouse_received_at end;

-- ---------------------------------------------------------------- how far a return is (`refund_status`)

-- An event never takes a return back to a lower one.
create or replace macro return_status_rank(refund_status) as list_position(
    ['started', 'expired', 'dropped-off', 'failed', 'partly-approved', 'approved'], refund_status
);

-- ---------------------------------------------------------------- amounts and ages

-- A fee as a part of what is given back: it takes off.
create or replace macro taken_off(fee) as -fee;
-- Since when an effect could have been sent.
create or replace macro waiting_since(sendable_at, planned_at) as greatest(sendable_at, planned_at);
-- Whole days as a bucket of `AGE_BUCKETS`.
create or replace macro age_bucket_of(days) as case
    when days < 4 then '0-3'
    when days < 8 then '4-7'
    when days < 15 then '8-14'
    when days < 31 then '15-30'
    when days < 61 then '31-60'
    when days < 91 then '61-90'
    else 'over 90'
end;

-- ---------------------------------------------------------------- why a unit is not a shipped piece (`reason` of a matched item)

-- As people read it; `UNMATCHED` in core/codes.py lists the reasons.
create or replace macro unmatched_text(reason) as case reason
    when 'no_such_order' then 'Centra has no order with its number'
    when 'order_not_read_yet' then 'its order was not read from Centra yet'
    when 'no_key' then 'the export names neither line, SKU nor barcode of it'
    when 'bundle_line' then 'it names a bundle, or is of one whose parts are not known'
    when 'article_not_on_order' then 'its order has no line with its article'
    when 'ambiguous_article' then 'the export names two articles of its order for it'
    when 'nothing_shipped' then 'its line of the order was never shipped'
    when 'goods_never_came' then 'its goods never came, and another unit holds the piece'
    when 'refused' then 'it was refused, and another unit holds the piece'
    when 'more_units_than_shipped' then 'more units come back than its order shipped'
    else reason
end;

-- ---------------------------------------------------------------- what people call an effect of a kind (`effect_kind`)

-- Its Python twin: `effect_text` in core/words.py.
create or replace macro effect_text(effect_kind) as case effect_kind
    when 'inventory_adjustment' then 'stock movement'
    else replace(effect_kind, '_', ' ')
end;

-- ---------------------------------------------------------------- times in texts

-- UTC, to the second, so that it sorts. Its Python twin: `instant_text` in core/clock.py.
create or replace macro instant_text(of_time) as strftime(of_time at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ');

-- A list from JSON that was put together with commas: a list of structs takes many times the memory.
create or replace macro json_list(joined) as ('[' || coalesce(joined, '') || ']')::json;

-- ---------------------------------------------------------------- who must act

-- So that an effect that is due gets sent: nobody while nothing is sent, hr-centra by itself, or the team that owns what is missing.
-- needs_approval, reason_class: of the reason that blocks it.
create or replace macro must_act_for(effect_mode, sendable_at, decided_at, needs_approval, reason_class, owner_team) as case
    when effect_mode in ('dry_run', 'off') then 'nobody'
    when sendable_at > decided_at then 'hr_centra'
    when needs_approval or coalesce(reason_class, 'timing') <> 'timing' then owner_team
    else 'hr_centra'
end;
