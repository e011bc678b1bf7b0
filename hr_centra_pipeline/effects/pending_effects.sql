-- makes: pending_effects
-- kind:  step
-- grain: one row per effect that is due and not in Centra, of every kind

create or replace temp view pending_effects as
from effects.pending_credit_notes
union all by name
from effects.pending_inventory_adjustments
union all by name
from effects.pending_exchange_orders
union all by name
from effects.pending_status_updates;
