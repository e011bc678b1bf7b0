"""Ratios measured side by side in one run: `make bench`. Each module has ``measure() -> list[Measured]``."""
