-- What leaves together when an approved effect leaves, as a hash, and the codes of what it waited for: another amount, a fee that
-- has gone, or a reason that has come since, needs another approval.
alter table push.approvals add column approval_sha256 varchar;
alter table push.approvals add column codes varchar[];
