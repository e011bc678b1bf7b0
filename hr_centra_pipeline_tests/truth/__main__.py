"""Run it: ``python -m hr_centra_pipeline_tests.truth [--seeds 1 2 3 4 5] [--months 12]``; exit code 1 when a table differs."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import pytest

from hr_centra_pipeline_tests.truth.lived import live


def main() -> int:
    """Each seed in turn, each in a sandbox of its own."""
    parser = argparse.ArgumentParser(prog="truth", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--months", type=int, default=12)
    given = parser.parse_args()
    failed = 0
    for seed in given.seeds:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            year, differing, compared = live(Path(folder), patch, seed=seed, months=given.months)
        verdict = "equal" if not differing else "DIFFERENT"
        print(
            f"seed {seed}: {given.months} months, {len(year.syncs)} syncs, {len(year.journeys)} units, "
            f"{len(year.matters)} exceptions, {len(year.late)} late facts; {compared} rows: {verdict} "
            f"({time.monotonic() - began:.0f} s)",
            flush=True,
        )
        for table, lines in differing.items():
            failed += 1
            print("\n".join(f"  {table}: {line}" for line in lines), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
