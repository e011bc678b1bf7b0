-- What every family of kinds reads and writes. One row of `findings` per trouble that the present facts show, open or not
-- yet. subject: what of the unit it is about (for one unit and subject the first kind in the order of precedence wins);
-- identity: what tells it apart where return, unit and order do not.
create or replace temp table findings (
    kind varchar, subject varchar, identity varchar, class varchar, cause varchar, culprit varchar,
    return_id varchar, return_item_id varchar, order_number varchar, sku varchar,
    currency varchar, amount decimal(18, 4), fact_at timestamptz, window_hours bigint,
    detail varchar, next_step varchar, evidence json
);

-- What of a return an effect is about.
create or replace temp macro subject_of(effect_kind) as case
    when effect_kind = 'inventory_adjustment' then 'stock'
    when effect_kind in ('exchange_order', 'exchange_release') then 'exchange'
    when effect_kind in ('status_update', 'order_attribute', 'customer_note', 'customer_attribute') then 'status'
    else 'credit'
end;

create or replace temp macro units_text(units) as units || case when units = 1 then ' unit' else ' units' end;

-- Who made a Return that is not ours, in words; and how to find out. An unlisted word without an admin user may be anybody's.
create or replace temp macro maker_text(made_by) as
    case made_by when 'person' then 'a person' when 'integration' then 'another integration' else 'another integration or user' end;
create or replace temp macro ask_maker(made_by) as
    case made_by when 'person' then 'Ask who made the Return' when 'integration' then 'Find out which integration made the Return'
        else 'Find out who made the Return' end;

-- One row per unit of the orders in play that has its shipment line, with what the kinds about units need.
create or replace temp table known_units as
select
    items.return_item_id, items.return_id, items.order_number, matched.sku, matched.currency, matched.unit_price,
    matched.voucher_share, matched.voucher_tax, matched.voucher_tax_added, matched.unit_tax, matched.unit_tax_added, matched.tax_mode,
    lines.tax_percent, orders.country, matched.order_line_id, matched.shipment_line_id,
    matched.foreign_centra_return_id,
    items.refund_type, items.dropoff_method, items.received_at, items.approved_at, items.disposition, items.disposition_at,
    items.approval_withdrawn_at,
    units.is_after_cutover, units.is_refused, units.is_mapped, units.credit_trigger, units.credit_due_at,
    items.received_channel is not distinct from 'returnless' or items.dropoff_method is not distinct from 'returnless'
        as is_returnless,
    -- Where it ends: mail goes straight to the warehouse, a unit handed in at a store stays there.
    case
        when items.dropoff_method like 'mail%' then coalesce(items.received_at, items.warehouse_received_at)
        when items.dropoff_method = 'in-store' then coalesce(items.received_at, items.warehouse_received_at)
        else items.warehouse_received_at
    end as arrived_at,
    json_object('source_file', items.source_file, 'source_line', items.source_line) as evidence
from staging.return_items as items
semi join matching.orders_in_play using (order_number)
join matching.matched_items as matched using (return_item_id)
join effects.units as units using (return_item_id)
join staging.order_lines as lines on lines.order_line_id = matched.order_line_id
join staging.orders as orders on orders.order_number = matched.order_number
where matched.shipment_line_id is not null;

-- One row per line of a stock change that somebody booked as a customer return. Centra's own movement for a Return that put its
-- goods back is none: it is in that Return's warehouse, of its articles, and of the same minutes. (What a movement is called
-- in `type` is not documented.)
create or replace temp table booked_returns as
select changes.*
from staging.stock_changes as changes
where changes.is_customer_return and changes.quantity > 0 and len(coalesce(changes.effect_keys, [])) = 0
    and not exists (
        select 1
        from staging.centra_returns as returns
        join staging.centra_return_lines as lines using (centra_return_id)
        join staging.order_lines as sold on sold.order_line_id = lines.order_line_id
        where returns.returned_to_stock and returns.warehouse_id = changes.warehouse_id and sold.sku = changes.sku
            and abs(date_diff('second', returns.created_at, changes.created_at)) <= 300
    );

-- Why an effect does not go out, by how its reason begins: what it takes, who deviates, what to do.
create or replace temp table blocks as
select * from (values
    ('the start of its return is not known', 'fix_happy_returns', 'data_gap', 'happy_returns',
        'Have Happy Returns deliver the returns export that tells when this return was started.'),
    ('its return was started before the cut-over', 'fix_pipeline', 'policy_gap', 'policy',
        'Adopt the return by name, so that it is acted on, or do it by hand in Centra.'),
    ('nothing was captured', 'fix_centra', 'data_gap', 'centra',
        'Find out in Centra how the order was paid: capture it, or give the money back by hand.'),
    ('nothing was captured on its shipment', 'fix_centra', 'data_gap', 'centra',
        'Find out in Centra why this shipment was not charged: capture it, and the next sync goes on; or settle it by hand.'),
    ('the order was paid in part by gift card', 'fix_centra', 'policy_gap', 'policy',
        'Give it back by hand in Centra, to each payment at most what it paid and the rest as store credit: the next sync adopts the Return.'),
    ('Happy Returns gives a gift card', 'timing', 'data_gap', 'happy_returns',
        'Ask Happy Returns what became of the gift card: once its row says issued or failed, the next sync goes on.'),
    ('gift cards cannot be issued', 'fix_pipeline', 'policy_gap', 'policy',
        'Set [gift_card] template in the policy, or make the Return and its gift card by hand in Centra: the next sync adopts it.'),
    ('it does not fit this Centra', 'fix_pipeline', 'system_error', 'centra',
        '`hr-centra doctor` lists what does not fit this Centra and what to set; until then do it by hand.'),
    ('the order shows no e-mail address', 'fix_centra', 'data_gap', 'centra',
        'Add the customer''s e-mail address in Centra, or make the Return and its gift card by hand there.'),
    ('the meaning of the order status', 'fix_pipeline', 'policy_gap', 'policy',
        'Add the word to [centra.words.order_status] in the policy, beside those that are listed (`operations.vendor_drift` names it).'),
    ('the meaning of a payment', 'fix_pipeline', 'policy_gap', 'policy',
        'Read in Centra''s documents what the word means, and add it to [centra.words] in the policy (`operations.vendor_drift` names it).'),
    ('the payment provider has not confirmed', 'timing', 'system_error', 'provider',
        'Wait for the payment provider''s message; if it does not come within days, look at the order''s payment in Centra.'),
    ('the order has a refund without a Return', 'fix_centra', 'data_gap', 'person',
        'Somebody refunded this order without a Return: say for which units it was, or that it is unrelated.'),
    ('another user''s Return', 'fix_centra', 'data_gap', 'person',
        'Find out which piece that Return was for: `hr-centra tie RETURN --return --unit UNIT`, or `--unrelated`. Until then nothing is given.'),
    ('its article', 'fix_happy_returns', 'data_gap', 'happy_returns',
        'Compare the parcel with the order: `hr-centra tie SHIPMENT_LINE --line --unit UNIT`, or have Happy Returns deliver line ids.'),
    ('waits for approval: a voucher', 'fix_pipeline', 'policy_gap', 'policy',
        'Look whether the unit''s part of the voucher is right, then `hr-centra approve` it, or credit it by hand.'),
    ('waits for approval: a gift card was given', 'fix_happy_returns', 'data_gap', 'happy_returns',
        'Ask Happy Returns which unit the gift card was for, and have the refund row name it: that unit is paid already. `hr-centra approve` '
            || 'only the credit of a unit that it was not for.'),
    ('waits for approval: Happy Returns', 'fix_happy_returns', 'amount_mismatch', 'happy_returns',
        'Have Happy Returns correct the refund row, or `hr-centra approve` the credit as Centra has it.'),
    ('waits for approval', 'fix_pipeline', 'policy_gap', 'policy',
        '`hr-centra approve` lists it; whoever neither planned it nor changed the policy last may let it through.'),
    ('it is a part of the bundle', 'fix_centra', 'policy_gap', 'policy',
        'Find out whether the other parts come back. If not, credit the share by hand in Centra, or let [bundles] some_parts share it.'),
    ('it was sent in exchange', 'accept', 'policy_gap', 'policy',
        'Refund the root order by hand in Centra, as much as `detail` says, and note it there.'),
    ('it was sent in exchange for', 'accept', 'data_gap', 'happy_returns',
        'Refund nothing while the unit that it replaced counts as refused. If its grade is wrong, have Happy Returns correct it.'),
    ('its value was given back', 'accept', 'policy_gap', 'person',
        'The unit was compensated already: correct its refund type at Happy Returns, or settle the rest by hand.'),
    ('another user or integration made Return', 'timing', 'data_gap', 'unknown',
        'Another user or integration was faster than the pipeline: the next sync finds out for which units it was.'),
    ('the policy does not map', 'fix_pipeline', 'policy_gap', 'policy',
        'Add the word to [dispositions] in the policy: into which warehouse, or stock = "none".'),
    ('a person made a Return', 'fix_centra', 'data_gap', 'person',
        'Look whether the replacement was sent by hand in Centra; if not, send it there.'),
    ('another integration made a Return', 'fix_centra', 'data_gap', 'integration',
        'Look whether that integration sent a replacement; if not, send it by hand in Centra.'),
    ('another integration or user made a Return', 'fix_centra', 'data_gap', 'unknown',
        'Look whether a replacement was sent in Centra; if not, send it there.'),
    ('the return names no replacement', 'fix_happy_returns', 'data_gap', 'happy_returns',
        'Ask Happy Returns (or the shopper) which article is wanted, and have the export corrected.'),
    ('Centra has no article', 'fix_happy_returns', 'data_gap', 'happy_returns',
        'The replacement''s SKU is not in Centra: correct it in Happy Returns'' catalogue, or offer another article.'),
    ('out of stock', 'fix_centra', 'data_gap', 'centra',
        'Restock the replacement in Centra, or offer the shopper another article or the money.'),
    ('the replacement', 'fix_centra', 'data_gap', 'centra',
        'Restock the replacement in Centra, or offer the shopper another article or the money.')
) as reasons (begins_with, class, cause, culprit, next_step);

-- One row per effect of a known unit that is due and still not in Centra, with why. The pending tables were filled before
-- the push: what the ledger has as confirmed is done, what was refused is a kind of its own.
create or replace temp table missing_effects as
with
pending as (
    from effects.pending_credit_notes
    union all by name from effects.pending_inventory_adjustments
    union all by name from effects.pending_exchange_orders
),

-- The refund rows of a unit that were issued while another payer may have paid.
issued_before as (
    select
        return_item_id,
        string_agg(refund_id || ', issued on ' || strftime(issued_at, '%Y-%m-%d'), '; ' order by refund_id) as refunds
    from paid_through
    where refund_id is not null and return_item_id is not null and seen_payer <> pays_now
    group by return_item_id
),

-- What Centra said last to effects that it has refused.
refusals as (
    select effect_key, arg_max(message, updated_at) as message, max(updated_at) as refused_at
    from (select unnest(members) as effect_key, message, updated_at from push.packets where state = 'rejected')
    semi join pending using (effect_key)
    group by effect_key
),

told as (
    select
        pending.effect_key, pending.effect_kind, pending.return_item_id, pending.amount, pending.trigger_at,
        pending.sendable_at, pending."mode", coalesce(ledger.state, 'planned') as state, ledger.packet_key,
        coalesce(
            pending.blocked_by,
            case when ledger.asked_batch is not null then
                case when ledger.decided_sha256 is null then $due_by_settings else $changed_by_settings end
                || case when ledger.asks_payer and issued.refunds is not null then
                    '; Happy Returns says that it was refunded (refund ' || issued.refunds || ')' else '' end
            end,
            ledger.reason
        ) || coalesce(
            '; Centra refused it on ' || strftime(refusals.refused_at, '%Y-%m-%d') || ': ' || refusals.message, ''
        ) as why
    from pending
    left join push.ledger using (effect_key)
    left join refusals using (effect_key)
    left join issued_before as issued on issued.return_item_id = pending.return_item_id
    where ledger.state is distinct from 'confirmed' and ledger.state is distinct from 'rejected'
        and pending.effect_kind <> 'exchange_release' -- told with the replacement that is not shipped
        -- What a guard holds back is one exception of that guard, not one of each unit.
        and not starts_with(coalesce(pending.blocked_by, ledger.reason, ''), 'guard: ')
        -- It lies where the settings wanted it when it was put there: whether to move it is a question, and no trouble.
        and not (
            ledger.asked_batch is not null and pending.effect_kind = 'inventory_adjustment'
            and (pending.evidence::json ->> 'ordinal')::integer > 1
            and ledger.effect_key not in (select effect_key from push.approvals)
        )
)

select
    told.* exclude (why),
    units.* exclude (return_item_id, evidence),
    json_merge_patch(units.evidence, json_object(
        'effect_key', told.effect_key, 'mode', told."mode", 'state', told.state, 'packet_key', told.packet_key,
        'waits_for_live', case when blocks.begins_with is null and told."mode" = 'dry_run' and told.state = 'planned' then true end
    )) as evidence,
    coalesce(
        told.why,
        case when told."mode" <> 'live' then 'its effect type is in mode ' || told."mode" end,
        case told.state when 'planned' then 'planned, and not sent yet' else 'its outcome is in doubt' end
    ) as why,
    coalesce(
        blocks.class,
        case when told."mode" <> 'live' then 'fix_pipeline' end, 'fix_pipeline'
    ) as class,
    coalesce(blocks.cause, case when told."mode" <> 'live' then 'policy_gap' end, 'system_error') as cause,
    coalesce(blocks.culprit, case when told."mode" <> 'live' then 'policy' end, 'pipeline') as culprit,
    coalesce(
        blocks.next_step,
        case when told."mode" <> 'live' then 'Do it by hand, or let the pipeline send it: [modes] in the policy, and HR_CENTRA_MODE.' end,
        'Look at the last sync in Dagster: why it did not send this.'
    ) as next_step
from told
join known_units as units using (return_item_id)
left join blocks on blocks.begins_with = (
    select arg_max(known.begins_with, length(known.begins_with)) from blocks as known where starts_with(told.why, known.begins_with)
);

-- The push that was tried last.
create or replace temp table last_push as
from push.pushes qualify row_number() over (order by real_started_at desc) = 1;
