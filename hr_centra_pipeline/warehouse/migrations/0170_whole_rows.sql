-- False: a row of a file without a time of its own that takes nothing back, which says what it says. Any other row of a file is whole.
alter table landing.happy_returns_returns add column is_whole boolean;
alter table landing.happy_returns_items add column is_whole boolean;
