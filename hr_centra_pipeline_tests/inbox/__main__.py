"""``make inbox``: the receiver under load and in trouble. Exit code 1 if a delivery that was answered 2xx is not in the store."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from hr_centra_pipeline_tests.inbox import stress


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="make inbox")
    parser.add_argument("--seconds", type=int, default=60, help="of steady load")
    parser.add_argument("--per-second", type=float, default=1_000)
    parser.add_argument("--count", type=int, default=10_000, help="deliveries of each scenario with trouble")
    parser.add_argument("--folder", type=Path, help="where the stores are; default: a temporary folder")
    parser.add_argument("--only", action="append", default=[], help='a scenario by name, such as "killed SQLite"')
    given = parser.parse_args()
    if not stress.is_installed():
        sys.exit("wrk is not installed: apt-get install wrk")
    print(f"load before: {', '.join(f'{one:.1f}' for one in os.getloadavg())} on {os.cpu_count()} cores", flush=True)
    is_well = True
    with tempfile.TemporaryDirectory(prefix="hr-centra-inbox-", dir=given.folder) as name:
        for outcome in stress.many(given.seconds, given.per_second, given.count, Path(name), given.only):
            print(outcome, flush=True)
            is_well = is_well and outcome.is_well
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
