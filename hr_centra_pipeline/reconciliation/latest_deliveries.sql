-- makes: latest_deliveries
-- kind:  step
-- grain: one row per file: its latest delivery under that name

create or replace temp table latest_deliveries as
select source_file, file_sha256, source_time, received_at, rows_read, problem, 'happy_returns' as culprit
from landing.files
qualify row_number() over (partition by source_file order by batch desc) = 1
union all
select source_file, file_sha256, modified_at, received_at, rows_read, problem, 'provider' as culprit
from landing.payout_files
qualify row_number() over (partition by source_file order by batch desc) = 1;
