"""Landing is partitioned by UTC day: the day of ``received_at`` for files, of the fetch for Centra."""

import dagster as dg

# end_offset=1: without it today has no partition until midnight.
DAILY = dg.DailyPartitionsDefinition(start_date="2025-01-01", end_offset=1, timezone="UTC")

# Month end: the UTC month. end_offset=1: the present month can be looked at before it is over.
MONTHLY = dg.MonthlyPartitionsDefinition(start_date="2025-01-01", end_offset=1, timezone="UTC")

# On every asset, so that a range of days is one run: landing takes all new files, whatever the partition.
SINGLE_RUN = dg.BackfillPolicy.single_run()
