-- changes: findings
-- kind:  exception
-- grain: one row per refund or line of a provider that does not agree with the other side
-- exception:    payout_mismatch
-- subject:      payout
-- owner:        finance
-- window_hours: 72
-- precedence:   145
-- severity:     warning
-- family:       none
-- opens:        What the payment provider booked is not what Centra refunded.
-- closes:       a later settlement agrees, or Centra shows the refund.

-- What the payment provider booked is not what Centra refunded.
insert into findings by name
select
    'payout_mismatch' as kind,
    'payout' as subject,
    payout_tie_id as identity,
    'fix_centra' as class,
    'amount_mismatch' as cause,
    'provider' as culprit,
    return_id, order_number, currency,
    case
        when verdict = 'reversed' then credited_amount - settled_amount
        -- The whole refund is in question: what it is worth that was booked in another currency, nobody knows.
        when settled_abroad is not null then greatest(abs(difference), credited_amount)
        else abs(difference)
    end as amount,
    case verdict when 'not_settled' then credited_at else settled_at end as fact_at,
    case verdict
        when 'amount_differs'
            then 'Centra refunded ' || money_text(credited_amount, currency) || ', the payment provider booked '
                || concat_ws(
                    ' and ',
                    case
                        when settled_abroad is null or settled_amount <> 0 then money_text(settled_amount, currency)
                    end,
                    settled_abroad
                )
        when 'reversed'
            then 'The refund of '
                || money_text(credited_amount, currency)
                || ' came back to the payment provider after it had succeeded'
        when 'not_settled'
            then 'Centra refunded ' || money_text(credited_amount, currency)
                || ', and no later settlement file contains the refund'
        when 'chargeback'
            then 'Charged back by the shopper''s bank: '
                || money_text(settled_amount, currency)
                || ' that were credited, too'
        else 'The payment provider refunded '
            || money_text(settled_amount, currency)
            || ', and Centra knows of no such refund'
    end as detail,
    case verdict
        when 'reversed' then 'Pay the shopper another way: the credit remains valid, but the money did not arrive.'
        when 'not_settled' then 'Ask the payment provider for the refund; if it was never made, pay it by hand.'
        when 'chargeback' then 'Contest the chargeback with the credit as proof, or claim one of the two back.'
        when 'not_credited' then 'Ask who refunded in the provider''s dashboard, and make the Return in Centra.'
        else 'Ask the payment provider why it booked another amount, and settle the difference by hand.'
    end as next_step,
    json_object(
        'verdict', verdict, 'provider', provider, 'reference', reference, 'line', source, 'entry_id', entry_id,
        'centra_return_id', centra_return_id, 'tied_by', tied_by
    ) as evidence
from reconciliation.payouts
where verdict in ('amount_differs', 'reversed', 'not_settled', 'not_credited', 'chargeback');

-- closing
insert into proofs by name
select
    unseen.exception_id,
    case
        when exists (
                from reconciliation.payouts
                where payouts.payout_tie_id = unseen.identity
                    and payouts.verdict in ('agrees', 'paid_again', 'chargeback_settled')
            ) then proven_by('agrees', 'the payment provider''s settlement agrees')
        when exists (from tied_lines where 'line ' || tied_lines.payout_line_id = unseen.identity)
            then proven_by('shown', 'Centra shows the refund now')
        when starts_with(unseen.identity, 'line ')
            and not exists (
                from staging.payout_lines where 'line ' || payout_lines.payout_line_id = unseen.identity
            )
            and exists (
                from staging.payout_lines
                where starts_with(
                        unseen.identity,
                        concat_ws(
                            ' ',
                            'line',
                            payout_lines.provider,
                            nullif(payout_lines.account, ''),
                            payout_lines.payout_id,
                            ''
                        )
                    )
            ) then proven_by('line_gone', 'the settlement was delivered again without the line')
    end as proof
from unseen
where unseen.kind = 'payout_mismatch';
