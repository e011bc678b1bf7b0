-- The code of the reason beside it (core/codes.py); null: it is not a reason of ours, or an earlier version kept it.
alter table push.ledger add column reason_code varchar;
alter table push.packets add column message_code varchar;
alter table push.pushes add column halted_code varchar;
alter table push.breaches add column guard_code varchar;
-- What an earlier version kept in words alone and is still decided by: once, here.
update push.ledger set reason_code = case
    when starts_with(reason, 'out of stock') then 'out_of_stock'
    when starts_with(reason, 'waits for the credit of its order') then 'waits_for_credit'
    when starts_with(reason, 'guard: ') then 'guard'
end
where state in ('planned', 'rejected');
update push.packets set message_code = 'out_of_stock'
where state in ('sending', 'unknown') and starts_with(message, 'out of stock');
update push.pushes set halted_code = 'kill_switch' where starts_with(halted, 'the kill switch');
update push.breaches set guard_code = case
    when guard = 'contract' then 'contract' when starts_with(guard, 'contract') then 'contract_payer'
    when starts_with(guard, 'surge') then 'surge'
    else 'cap'
end;
