-- makes: latest_deliveries
-- kind:  step
-- grain: one row per file and sender: its latest delivery under that name

-- culprit: who delivers it, and is asked when it cannot be read: Happy Returns its exports, a provider its settlement files.
create or replace temp table latest_deliveries as
select source_file, file_sha256, batch, source_time, received_at, rows_read, rows_rejected, problem, 'happy_returns' as culprit
from landing.files
qualify row_number() over (partition by source_file order by batch desc) = 1
union all
select source_file, file_sha256, batch, modified_at, received_at, rows_read, rows_rejected, problem, 'provider' as culprit
from landing.payout_files
qualify row_number() over (partition by source_file order by batch desc) = 1;
