-- Payouts count per account of the merchant ('': not told, and of lines that were landed before it was kept).
alter table landing.payout_lines add column account varchar default '';
-- The provider's number of the booking, where it is unique: it counts once, however many files tell it.
alter table landing.payout_lines add column transaction_id varchar;
-- A line that cannot be used and may be about an order's money: the column that is wrong with it. It holds that order's credits.
alter table landing.payout_lines add column set_aside varchar;
