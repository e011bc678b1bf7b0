"""``make fuzz``: inputs over all edges, and what became of them. Exit code 1 if one escaped."""

from __future__ import annotations

import argparse
import sys
import time

from hr_centra_pipeline_tests.fuzz import edges


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--count", type=int, default=200_000, help="inputs over all edges")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--edge", action="append", default=[], choices=sorted(edges.shares()), help="only this one")
    given = parser.parse_args()
    started = time.monotonic()
    found = edges.run_all(given.count, given.seed, processes=given.processes, only=given.edge)
    for name, outcomes in sorted(found.items()):
        print(f"{name}: {outcomes.total():,} inputs")
        for outcome, count in outcomes.most_common():
            print(f"  {count:>9,}  {outcome}")
    escaped = edges.escapes(found)
    whole = sum(outcomes.total() for outcomes in found.values())
    print(f"{whole:,} inputs, {len(escaped)} kinds of escapes, {(time.monotonic() - started) / 60:.1f} minutes")
    sys.exit(1 if escaped or whole < given.count else 0)


if __name__ == "__main__":
    main()
