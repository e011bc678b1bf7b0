"""``make torture``: the chaos run until at least so many kills and faults, and its figures. Exit code 1 unless nothing is wrong."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from hr_centra_pipeline_tests.torture.broken import KINDS
from hr_centra_pipeline_tests.torture.chaos_run import Figures, Mix, chaos_run

LONG = Mix(returns=20, steps=50, faults=1.3, syncs=0.02, lost_ledgers=0.01, events=0.25)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="make torture")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--least", type=int, default=1000, help="kills and faults")
    parser.add_argument("--broken", choices=KINDS)
    parser.add_argument("--keep", type=Path, help="where to keep a scenario in which something was found")
    given = parser.parse_args()
    whole = Figures(given.seed)
    rounds = 0
    while whole.kills + whole.faults < given.least:
        with tempfile.TemporaryDirectory() as folder:
            found = chaos_run(Path(folder), given.seed + 7919 * rounds, 5, LONG, broken=given.broken, keep=given.keep)
        rounds += 1
        whole.kills += found.kills
        whole.faults += found.faults
        whole.acts += found.acts
        whole.runs += found.runs
        whole.syncs += found.syncs
        whole.lost_ledgers += found.lost_ledgers
        whole.seconds += found.seconds
        whole.verdict.add(found.verdict)
        whole.by_fault += found.by_fault
        whole.by_act += found.by_act
        whole.by_event += found.by_event
        sys.stderr.write(
            f"round {rounds}: kills {whole.kills}, faults {whole.faults}, doubles {len(whole.verdict.doubles)},"
            f" losses {len(whole.verdict.losses)}, stuck {len(whole.verdict.stuck)},"
            f" silent {len(whole.verdict.silent)}, {whole.seconds / 60:.1f} minutes\n"
        )
        if told := found.verdict.told():
            sys.stderr.write(told + "\n")
    print(whole.told())
    print("faults: " + ", ".join(f"{name} {count}" for name, count in whole.by_fault.most_common()))
    print("people: " + ", ".join(f"{name} {count}" for name, count in whole.by_act.most_common()))
    print("events: " + ", ".join(f"{name} {count}" for name, count in whole.by_event.most_common()))
    sys.exit(0 if whole.verdict.is_clean else 1)


if __name__ == "__main__":
    main()
