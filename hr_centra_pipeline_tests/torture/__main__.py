"""``make torture``: the chaos run until at least so many kills and faults, and its figures. Exit code 1 unless nothing is wrong."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from hr_centra_pipeline_tests.torture.broken import KINDS
from hr_centra_pipeline_tests.torture.chaos_run import Figures, Mix, chaos_run
from hr_centra_pipeline_tests.torture.scenario import FeedKind

LONG = Mix(returns=20, steps=50, faults=1.3, syncs=0.02, lost_ledgers=0.01, events=0.25)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="make torture")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--least", type=int, default=1000, help="kills and faults, by each feed")
    parser.add_argument("--feed", choices=("files", "events", "both"), default="both", help="what brings the returns")
    parser.add_argument("--broken", choices=KINDS)
    parser.add_argument("--keep", type=Path, help="where to keep a scenario in which something was found")
    given = parser.parse_args()
    feeds: tuple[FeedKind, ...] = ("files", "events") if given.feed == "both" else (given.feed,)
    are_clean = [_tortured(given, feed) for feed in feeds]
    sys.exit(0 if all(are_clean) else 1)


def _tortured(given: argparse.Namespace, feed: FeedKind) -> bool:
    """Rounds until there were enough kills and faults; answers whether nothing is wrong."""
    whole = Figures(given.seed)
    rounds = 0
    while whole.kills + whole.faults < given.least:
        with tempfile.TemporaryDirectory() as folder:
            seed = given.seed + 7919 * rounds
            found = chaos_run(Path(folder), seed, 5, LONG, broken=given.broken, keep=given.keep, feed=feed)
        rounds += 1
        whole.add(found)
        sys.stderr.write(
            f"{feed}, round {rounds}: kills {whole.kills}, faults {whole.faults}, doubles {len(whole.verdict.doubles)},"
            f" losses {len(whole.verdict.losses)}, stuck {len(whole.verdict.stuck)},"
            f" silent {len(whole.verdict.silent)}, {whole.seconds / 60:.1f} minutes\n"
        )
        if told := found.verdict.told():
            sys.stderr.write(told + "\n")
    print(f"feed: {feed}")
    print(whole.told())
    for name, counter in (
        ("faults", whole.by_fault), ("people", whole.by_act), ("events", whole.by_event), ("deliveries", whole.by_fate),
    ):  # fmt: skip
        if counter:
            print(f"{name}: " + ", ".join(f"{one} {count}" for one, count in counter.most_common()))
    return whole.verdict.is_clean


if __name__ == "__main__":
    main()
