"""Month end: the journal of what was known when, the month's tables, closing, signing. No files, no Dagster."""
