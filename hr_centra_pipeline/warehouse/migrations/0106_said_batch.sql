-- Since which batch a row says what it says, where a mended profile has given it another batch to be looked at again (null: its own).
alter table landing.happy_returns_returns add column said_batch bigint;
alter table landing.happy_returns_items add column said_batch bigint;
alter table landing.happy_returns_refunds add column said_batch bigint;
alter table landing.happy_returns_shipments add column said_batch bigint;
