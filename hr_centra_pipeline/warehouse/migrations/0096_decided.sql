-- What was decided about an effect without a question (payer, amount, target, what leaves with it): a hash. 'open': the settings had
-- not said it yet. asks_payer: the question is who pays; only what Happy Returns says of the payment answers it.
alter table push.ledger add column decided_sha256 varchar;
alter table push.ledger add column asks_payer boolean;
-- The settings that change amounts, and who pays, when a plan was last made with them.
alter table push.settings_seen add column amounts varchar;
alter table push.settings_seen add column payers varchar;
