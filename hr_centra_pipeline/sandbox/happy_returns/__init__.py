"""Happy Returns: the present state of its rows, and the export files that it writes."""
