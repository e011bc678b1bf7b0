-- How large a difference of a match the tolerance allows, whether it was used or not. null: written before that was kept.
alter table reconciliation.match_journal add column allowed_difference decimal(18, 4);
