-- changes: findings
-- kind:  exception
-- grain: one row per refund without a Return that nobody has tied, and per unit whose paid Return is gone or uncompleted
-- exception:    refund_without_credit_note
-- subject:      refund, credit, exchange
-- owner:        finance
-- window_hours: 72
-- precedence:   135
-- severity:     warning
-- family:       orphaned_returns
-- counterpart:  return_in_centra
-- measure:      over_credits_found
-- opens:        Money went back to a shopper and no Return in Centra shows what for: the order's
--               payment was refunded by hand, whether or not Happy Returns has ever named that order,
--               or one of our Returns was deleted or uncompleted after it was paid.
-- closes:       it is tied, or has its Return in Centra, completed.

-- One row per refund without a Return that nobody has tied.
insert into findings by name
select
    'refund_without_credit_note' as kind, 'refund' as subject, 'Payment entry ' || entries.entry_id as identity,
    'fix_centra' as class, 'data_gap' as cause, 'person' as culprit,
    entries.order_number, entries.currency, abs(entries.amount) as amount,
    entries.created_at as fact_at,
    'Somebody refunded '
    || money_text(abs(entries.amount), entries.currency)
    || ' on order '
    || entries.order_number
    || ' without a Return'
        as detail,
    'Say for which units it was, or that it is unrelated: `hr-centra tie '
    || entries.entry_id
    || '`. Until then nothing is paid on the order.'
        as next_step,
    json_object(
        'entry_id', entries.entry_id, 'entry_type', entries.entry_type, 'external_reference', entries.external_reference
    ) as evidence
from staging.payment_entries as entries
semi join orders_of_refunds using (order_number)
where entries.centra_return_id is null
    and is_given_back(entries.money)
    and not exists (
        select 1
        from push.ties
        where ties.what = 'refund' and ties.centra_id in (entries.entry_id::varchar, entries.request_id::varchar)
    )
    -- A credit that pays elsewhere, and the only one of that amount on its order, is what it was for.
    and not exists (
        select 1 from staging.centra_returns as returns
        join staging.orders using (order_number)
        where returns.order_number = entries.order_number
            and returns.deleted_at is null
            and returns.packet_key is not null
            and abs(returns.grand_total - abs(entries.amount))
            <= policy.tax_slack(orders.tax_mode, returns.tax, returns.currency)
            and not exists (
                select 1 from staging.payment_entries as own where own.centra_return_id = returns.centra_return_id
            )
            -- The Return of an exchange gives goods.
            and not exists (
                select 1 from (select unnest(returns.effect_keys) as effect_key) as members
                join push.ledger using (effect_key)
                where ledger.effect_kind = 'exchange_order'
            )
        having count(*) = 1
    );

-- One row per unit whose Return somebody has deleted or uncompleted after it was paid.
insert into findings by name
select 'refund_without_credit_note' as kind, * exclude (is_paid) from lost_credits where is_paid;

-- closing
insert into proofs by name
select
    unseen.exception_id,
    coalesce(
        unseen.effect_proof,
        unseen.answer_proof,
        case
            when tied.entry is not null then proven_by('tied', 'tied by ' || tied.tied_by)
            when unseen.order_number in (from orders_of_refunds)
                then proven_by('returned', 'the refund has its Return in Centra')
        end,
        unseen.refusal_proof
    ) as proof
from unseen
left join (
    select 'Payment entry ' || centra_id as entry, min(tied_by) as tied_by from push.ties group by centra_id
) as tied on tied.entry = unseen.identity
where unseen.kind = 'refund_without_credit_note';
