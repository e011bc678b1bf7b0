"""The only place that imports Dagster: assets, checks, jobs, the schedule, and the run that they share. Wiring, no rules."""
