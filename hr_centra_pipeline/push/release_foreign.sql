-- makes: released_effects
-- kind:  step
-- grain: one row per effect that others had done and that is gone in Centra

-- Ours are due again: their new ledger rows.
create or replace temp table released_effects as
with
pending_keys as (
    select effect_key from effects.pending_credit_notes
    union all
    select effect_key from effects.pending_exchange_orders
)

select
    ledger.* replace (
        'planned' as state, false as is_foreign, cast(null as varchar) as centra_id, $now as updated_at,
        -- Nobody has decided about it yet: it is due because that is gone.
        'open' as decided_sha256,
        cast(null as timestamptz) as confirmed_at,
        gone_reason.sentence as reason,
        gone_reason.code as reason_code
    )
from push.ledger
join policy.reasons as gone_reason on gone_reason.code = 'gone_of_others'
semi join pending_keys using (effect_key)
where ledger.state = 'confirmed' and ledger.is_foreign;
