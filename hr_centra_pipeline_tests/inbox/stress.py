"""``make inbox``: a receiver under load and in trouble, with ``wrk`` as its client.

What is in the store is compared by hash with what was sent, and by id with what was answered 2xx.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline_tests.inbox.conftest import address_of
from hr_centra_pipeline_tests.inbox.receiving import ADDRESS, Served, raw, request, served, sha256, signed
from hr_centra_pipeline_tests.postgres import Postgres, running_postgres

SCRIPT = Path(__file__).with_name("deliveries.lua")
CONNECTIONS = 64
Trouble = Callable[[Served, Callable[[], float]], None]
_PATIENCE_SECONDS = 8


@dataclass
class Outcome:
    """Of one scenario: how many requests were sent and what came of them. ``lost``: answered 2xx, and not in the store."""

    name: str
    sent: int
    seconds: float
    statuses: Counter[int] = field(default_factory=Counter)  # 0: no answer came
    milliseconds: list[float] = field(default_factory=list)
    lost: int = 0
    unasked: int = 0  # in the store, and of no request
    kept_unanswered: int = 0  # in the store, although its sender was not answered 2xx
    answered: set[str] = field(default_factory=set)  # ids of what was answered 2xx
    receiver_seconds: float = 0  # CPU time of the receiver, as far as it lived on

    @property
    def is_well(self) -> bool:
        return not self.lost and not self.unasked and self.statuses[200] > 0 and set(self.statuses) <= {0, 200, 503}

    def __str__(self) -> str:
        ordered = sorted(self.milliseconds)

        def at(share: float) -> float:
            return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0

        refused = self.statuses[503] / self.sent if self.sent else 0
        others = sum(number for status, number in self.statuses.items() if status not in (0, 200, 503))
        return (
            f"{self.name}: {self.sent:,} sent in {self.seconds:.1f} s ({self.sent / self.seconds:,.0f}/s), "
            f"{self.statuses[200]:,} kept, "
            f"{self.statuses[503]:,} answered 503 ({refused:.1%}), {self.statuses[0]:,} cut off, "
            f"{others} others; latency ms p50 "
            f"{at(0.5):.1f}, p95 {at(0.95):.1f}, p99 {at(0.99):.1f}, max {at(1):.0f}; CPU {self.receiver_seconds:.1f} s; "
            f"lost {self.lost}, unasked {self.unasked}, kept but not answered {self.kept_unanswered}"
        )


def bodies(count: int, seed: int) -> list[bytes]:
    """Events as Happy Returns documents them, all different."""
    rng = random.Random(seed)
    run = secrets.token_hex(6)
    return [
        json.dumps(
            {
                "event": "return_status_updated",
                "typeID": rng.choice(["started", "dropped-off", "approved"]),
                "retailerID": "stress",
                "otherEvents": [{"event": "return_dropoff_method_created", "typeID": "return-bar"}],
                "items": [
                    {
                        "happyReturnsReturnID": f"{run}-{number}", "purchasedAt": "2026-08-05T16:26:05-05:00",
                        "email": f"shopper-{number}@example.com", "orderNumber": str(270_000 + number),
                        "orderID": str(5_324_938_444_866 + number), "orderLineItemID": f"{number}-{unit}-3", "sku": "nomshrts-1",
                        "upc": "SKDFHWEW-DKFD", "labelBarcode": "SKDFHWEW-DKFD", "productName": "Shorts of some name",
                        "dropoffMethod": "return-bar", "returnReasonID": "too-small",
                    }
                    for unit in range(rng.choice([1, 1, 1, 2, 3]))
                ],
            }
        ).encode()
        for number in range(count)
    ]  # fmt: skip


@contextmanager
def sending(port: int, given: Sequence[bytes], per_second: float, outcome: Outcome) -> Iterator[Callable[[], float]]:
    """``wrk`` sends each body once, from many connections; what is yielded says which share has been answered so far."""
    with tempfile.TemporaryDirectory(prefix="hr-centra-stress-") as name:
        folder = Path(name)
        parts = [given[part::CONNECTIONS] for part in range(CONNECTIONS)]
        for part, mine in enumerate(parts):
            with (folder / f"requests-{part}").open("wb") as file:
                for body in mine:
                    whole = request(ADDRESS, body, {"Content-Type": "application/json", **signed(body)})
                    file.write(b"%08d" % len(whole) + whole)
        limit = len(given) / per_second * 4 + 30
        began = time.time()
        client = subprocess.Popen(
            ["wrk", f"-t{CONNECTIONS}", f"-c{CONNECTIONS}", f"-d{limit:.0f}s", "--timeout", "60s", "-s", str(SCRIPT),
             f"http://127.0.0.1:{port}", "--", str(folder), str(per_second / CONNECTIONS)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

        def share() -> float:
            lines = sum(file.read_bytes().count(b"\n") for file in folder.glob("answers-*"))
            return lines / len(given)

        try:
            yield share
            # It never ends by itself: it has, once all is answered or nothing has been for a while.
            before, since = -1.0, time.monotonic()
            while (now := share()) < 1 and time.monotonic() - since < _PATIENCE_SECONDS:
                before, since = (now, time.monotonic()) if now != before else (before, since)
                time.sleep(0.1)
        finally:
            client.kill()
            client.wait()
        outcome.seconds = max(file.stat().st_mtime for file in folder.glob("answers-*")) - began
        for part in range(CONNECTIONS):
            for line in (folder / f"answers-{part}").read_text("utf-8").splitlines():
                status, microseconds, delivery_id = line.split()
                outcome.statuses[int(status)] += 1
                if status == "200":
                    outcome.milliseconds.append(int(microseconds) / 1_000)
                    outcome.answered.add(delivery_id)
        outcome.sent = len(given)
        outcome.statuses[0] = max(0, len(given) - outcome.statuses.total())


def compared(outcome: Outcome, given: Sequence[bytes], address: str) -> None:
    """The store against what was sent, by hash, and against what was answered, by id."""
    inbox = Inbox.open(address)
    hashes = {sha256(body) for body in given}
    found: dict[str, str] = {}
    while batch := inbox.take("happy_returns", most=2_000, most_bytes=1 << 28):
        for one in batch:
            found[one.delivery_id] = sha256(one.body)
            assert found[one.delivery_id] == one.body_sha256
        inbox.mark_landed([one.delivery_id for one in batch])
    inbox.close()
    outcome.lost = len(outcome.answered - set(found))
    outcome.unasked = len(set(found.values()) - hashes)
    outcome.kept_unanswered = len(set(found) - outcome.answered)


def nothing(_one: Served, _share: Callable[[], float]) -> None:
    """No trouble."""


def run(
    name: str,
    count: int,
    per_second: float,
    address: str,
    home: Path,
    trouble: Trouble = nothing,
    seed: int = 1,
) -> Outcome:
    """One scenario: so many deliveries at so many a second, with something happening meanwhile."""
    given = bodies(count, seed)
    outcome = Outcome(name, count, 1)
    with served(home, "--quiet", HR_CENTRA_INBOX=address) as one:
        with sending(one.port, given, per_second, outcome) as share:
            trouble(one, share)
        outcome.receiver_seconds = _cpu_seconds(one.process.pid)
        health = raw(one.port, request("/health", method="GET"))
        assert health.status == 200, health
    compared(outcome, given, address)
    return outcome


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _at(share: Callable[[], float], wanted: float) -> None:
    end = time.monotonic() + 300
    while share() < wanted and time.monotonic() < end:
        time.sleep(0.02)


def killed(one: Served, share: Callable[[], float]) -> None:
    """``kill -9`` five times."""
    for wanted in (0.15, 0.3, 0.45, 0.6, 0.75):
        _at(share, wanted)
        one.kill()
        one.start_again()


def full_disk(folder: Path) -> Trouble:
    """Something else fills the disk, twice, for two seconds each."""

    def trouble(_: Served, share: Callable[[], float]) -> None:
        for wanted in (0.25, 0.6):
            _at(share, wanted)
            filler = folder / "filler"
            with filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"\0" * 65_536)
                except OSError:
                    pass
            time.sleep(2)
            filler.unlink()

    return trouble


def many(seconds: int, per_second: float, count: int, folder: Path, only: Sequence[str] = ()) -> Iterator[Outcome]:
    """Every scenario, or those that are named."""

    def wanted(name: str) -> bool:
        return not only or name in only

    def home(name: str) -> Path:
        return folder / name.replace(" ", "-")

    def file(name: str) -> str:
        return str(home(name) / "inbox.sqlite")

    if wanted(name := "steady SQLite"):
        yield run(name, int(per_second * seconds), per_second, file(name), home(name))
    if wanted(name := "overloaded SQLite"):
        yield run(name, count * 2, per_second * 20, file(name), home(name))
    if wanted(name := "killed SQLite"):
        yield run(name, count, per_second, file(name), home(name), killed)
    if wanted(name := "full disk SQLite"):
        disk = folder / "disk"
        disk.mkdir()
        megabytes = max(16, count * 8 // 1_000)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)], check=True)
        try:
            yield run(name, count, per_second, str(disk / "inbox.sqlite"), home(name), full_disk(disk))
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    for name in ("steady PostgreSQL", "killed PostgreSQL", "restarted PostgreSQL"):
        if not wanted(name):
            continue
        with ExitStack() as stack:
            server = stack.enter_context(running_postgres())

            def restarted(_: Served, share: Callable[[], float], server: Postgres = server) -> None:
                for at in (0.25, 0.6):
                    _at(share, at)
                    server.restart(seconds_down=1)

            troubles: dict[str, Trouble] = {"steady": nothing, "killed": killed, "restarted": restarted}
            trouble = troubles[name.split()[0]]
            number = int(per_second * seconds) if name.startswith("steady") else count
            yield run(name, number, per_second, address_of(server), home(name), trouble)


def is_installed() -> bool:
    return shutil.which("wrk") is not None
