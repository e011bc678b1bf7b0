"""What readers get: Parquet and one DuckDB file after each sync, CSV per month. Nobody reads the warehouse itself."""
