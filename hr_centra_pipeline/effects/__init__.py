"""pending = desired - observed: what ought to be true in Centra, what is, and what is missing. One SQL file per effect."""
