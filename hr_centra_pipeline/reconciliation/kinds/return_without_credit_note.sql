-- changes: findings
-- kind:  exception
-- grain: one row per unit whose credit is due and not in Centra, and per unit whose unpaid Return is gone or uncompleted
-- exception:    return_without_credit_note
-- subject:      credit, exchange
-- owner:        finance
-- window_hours: 24
-- precedence:   130
-- severity:     warning
-- family:       orphaned_returns
-- counterpart:  credit
-- opens:        The credit of a unit was due and is not in Centra.
-- closes:       the credit is confirmed in Centra, ours or a person's.

insert into findings by name
select
    'return_without_credit_note' as kind,
    'credit' as subject,
    class, cause, culprit, return_id, return_item_id, order_number, sku, currency, amount,
    sendable_at as fact_at,
    -- What only the settings have made due was not due on its date.
    case
        when why_code = 'due_by_settings' then 'The credit of ' || strftime(trigger_at, '%Y-%m-%d') || ' is not in Centra: '
        else 'The credit was due on ' || strftime(trigger_at, '%Y-%m-%d') || ' and is not in Centra: '
    end || why as detail,
    next_step,
    evidence,
    is_dry_run
from missing_effects
where effect_kind = 'credit_note';

-- One row per unit whose Return somebody has deleted or uncompleted before it was paid.
insert into findings by name
select 'return_without_credit_note' as kind, * exclude (is_paid) from lost_credits where not is_paid;

-- closing
insert into proofs by name
select exception_id, coalesce(effect_proof, answer_proof, refusal_proof) as proof
from unseen
where kind = 'return_without_credit_note';
