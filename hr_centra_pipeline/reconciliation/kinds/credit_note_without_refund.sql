-- changes: findings
-- kind:  exception
-- grain: one row per Return, and return on it, whose money did not go
-- exception:    credit_note_without_refund
-- subject:      refund
-- owner:        finance
-- window_hours: 72
-- precedence:   134
-- severity:     warning
-- family:       orphaned_returns
-- counterpart:  refund
-- opens:        A Return is in Centra, and its money did not reach the shopper: it was made by hand and
--               never refunded; the payment provider refused the refund, or has not answered; or no
--               refund was reported by the party that pays elsewhere (`pays_through = "elsewhere"`).
-- closes:       Centra shows the refund, the refund is reported, or the Return is gone.

-- A Return is in Centra, and its money did not go.
insert into findings by name
with
-- One row per Return and return on it: who pays its pieces.
return_payments as (
    select
        pieces.centra_return_id,
        pieces.return_id,
        pieces.order_number,
        pieces.currency,
        bool_and(pieces.is_foreign) as is_foreign,
        sum(pieces.gross) as goods,
        -- given by another user: a refund row that was issued pays it
        bool_and(
            payers.refund_id is not null
            and (payers.gift_card_id is not null or coalesce(payers.unit_payer, '-') = 'elsewhere')
        ) as is_paid_elsewhere,
        bool_and(payers.return_item_id is not null and coalesce(payers.unit_payer, 'elsewhere') = 'elsewhere')
            as is_told_elsewhere
    from return_pieces as pieces
    left join paid_through as payers on payers.return_item_id = pieces.return_item_id
    -- Of an exchange: once money was refunded in place of its replacement.
    where not pieces.is_exchange or pieces.return_item_id in (
            select return_item_id from push.ledger
            where effect_kind = 'credit_note' and not is_foreign and state in ('sending', 'unknown', 'confirmed')
        )
    group by all
),

states as (
    select
        return_payments.*,
        returns.created_at,
        returns.created_from,
        returns.made_by,
        goods + coalesce(costs.shipping, 0) - coalesce(costs.fee, 0) as amount,
        failures.failed_at, requests.asked_at, unknown_entries.seen_at
    from return_payments
    join staging.centra_returns as returns using (centra_return_id)
    join return_states using (centra_return_id)
    left join return_costs as costs
        on costs.centra_return_id = return_payments.centra_return_id
            and costs.return_id = return_payments.return_id
            and not costs.is_exchange
    left join (
        select centra_return_id, max(created_at) as failed_at from staging.payment_entries
        where is_refund_failed(money) group by all
    ) as failures using (centra_return_id)
    left join (
        select centra_return_id, max(created_at) as asked_at from staging.payment_entries
        where is_refund_open(money) group by all
    ) as requests using (centra_return_id)
    left join (
        select centra_return_id, max(created_at) as seen_at
        from staging.payment_entries
        where money is null
        group by all
    ) as unknown_entries using (centra_return_id)
    where return_states.paid = 0 and not return_payments.is_paid_elsewhere
        and (
            return_payments.is_foreign
            or return_payments.is_told_elsewhere
            or failures.failed_at is not null
            or requests.asked_at is not null
        )
)

select
    'credit_note_without_refund' as kind,
    'refund' as subject,
    'Return ' || centra_return_id as identity,
    case when seen_at is not null then 'fix_pipeline' else 'fix_centra' end as class,
    case
        when seen_at is not null then 'policy_gap'
        when failed_at is not null or asked_at is not null then 'system_error'
        else 'data_gap'
    end as cause,
    case
        when seen_at is not null then 'policy'
        when failed_at is not null or asked_at is not null then 'provider'
        when is_foreign then made_by
        else 'happy_returns'
    end as culprit,
    return_id, order_number, currency, amount,
    coalesce(seen_at, failed_at, asked_at, created_at) as fact_at,
    'Return ' || centra_return_id || ' gives back ' || money_text(amount, currency) || case
        when seen_at is not null
            then '; whether it was paid is not known: it shows a payment whose meaning the policy does '
                || 'not know'
        when failed_at is not null then ', and the payment provider refused the refund'
        when asked_at is not null then '; the refund was asked for, and the payment provider has not answered'
        when is_foreign then ' and was never refunded; it was made by ' || maker_text(made_by)
        else '; no refund row reports that it was paid elsewhere'
    end as detail,
    case
        when seen_at is not null
            then 'Add the words of its payment to [centra.words] in the policy: '
                || 'operations.vendor_drift names them.'
        when failed_at is not null
            then 'Find another way to pay the shopper: the provider does not take the refund. It is '
                || 'not tried again.'
        when asked_at is not null then 'Ask the payment provider.'
        when is_foreign then 'Refund the Return in Centra, or delete it so that the pipeline credits the unit.'
        else 'Ask who pays these refunds whether it was paid; deliver the refund row.'
    end as next_step,
    json_object('centra_return_id', centra_return_id, 'made_at', created_from) as evidence
from states
where amount > 0;

-- closing
insert into proofs by name
select
    unseen.exception_id,
    case
        when returns.deleted_at is not null then proven_by('deleted', 'the Return was deleted in Centra')
        when exists (
                from return_states as states
                where states.centra_return_id = returns.centra_return_id and states.paid > 0
            ) then proven_by('refunded', 'refunded in Centra')
        when exists (
                from paid_through as payers
                where payers.return_id = unseen.return_id and payers.order_number = unseen.order_number
                    and payers.refund_id is not null and payers.row_payer = 'elsewhere'
            ) then proven_by('paid_elsewhere', 'paid elsewhere, as Happy Returns reports')
    end as proof
from unseen
left join staging.centra_returns as returns on 'Return ' || returns.centra_return_id = unseen.identity
where unseen.kind = 'credit_note_without_refund';
