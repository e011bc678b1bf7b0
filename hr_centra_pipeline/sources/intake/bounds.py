"""The bounds of every intake, in bytes, rows and seconds: what is beyond them is refused, or given up, by name."""

from __future__ import annotations

MOST_BYTES_OF_A_FILE = 1_000_000_000
"""A file that is larger, packed or unpacked, is refused."""
MOST_BYTES_OF_A_ROW = 4_000_000
"""A row that is larger is refused."""
MOST_SECONDS_OF_A_FILE = 300.0
"""A remote file that takes longer, and a second more for each of its megabytes, is given up until the next run."""
MOST_SECONDS_OF_A_LISTING = 60.0
"""A remote place that takes longer to be reached, or to be listed, counts as unreachable."""
MOST_COLUMNS = 1_000
"""A header with more columns is refused."""
MOST_BAD_ROWS = 10_000
"""A file with more rows that cannot be read, and more than a tenth of its lines, is refused."""
