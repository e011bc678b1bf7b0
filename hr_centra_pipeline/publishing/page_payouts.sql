-- kind:  query
-- grain: one row per refund or line of a provider that does not agree, or that agrees and is new

-- done_since: how long ago one that agrees may have happened.
select
    payout_tie_id, verdict, (verdict = 'agrees')::integer as is_settled, return_id, order_number, provider, reference, currency,
    credited_amount::varchar as credited, settled_amount::varchar as settled, settled_abroad, difference::varchar as difference,
    instant_text(coalesce(settled_at, credited_at)) as happened_at, source
from reconciliation.payouts
where verdict <> 'agrees' or coalesce(settled_at, credited_at) >= $done_since
order by payout_tie_id;
