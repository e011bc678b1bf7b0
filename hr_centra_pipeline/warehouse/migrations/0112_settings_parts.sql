-- What the settings say apart from each other, as JSON: cutover, rules (a hash of what touches every unit), grades (each word of
-- [dispositions] and of refused_dispositions with what is done about it). null: an earlier version kept the fingerprint alone.
alter table push.settings_seen add column parts varchar;
-- How many decisions of people the last plan with them knew, as JSON, by table (adoptions, ties, exchange_decisions).
alter table push.settings_seen add column decisions varchar;
