"""Settlement files of payment providers: what was paid back to shoppers, charged back and paid out, line by line."""
