"""DuckDB: one file, one writer. Connections, the sync lock, migrations of state tables, and the declared tables."""
