"""What keeps a push from doing harm: loopback only, kill switch, time budget, caps per run."""

from __future__ import annotations

import ipaddress
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.money import shown
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.push.packets import OperationName, Packet


class Halted(Exception):
    """The push has to end now; what was not sent stays planned."""


@dataclass
class Gate:
    """Passed before every write to Centra. The budget counts real time."""

    stop_path: Path
    budget_seconds: float

    def __post_init__(self) -> None:
        self._ends = time.monotonic() + self.budget_seconds

    def check(self) -> None:
        """Pass, or end the push.

        Raises:
            Halted: the kill switch is on, or the time budget is used up.
        """
        if self.stop_path.exists():
            raise Halted(f"the kill switch {self.stop_path} is on: remove the file to send again")
        if time.monotonic() >= self._ends:
            raise Halted(f"push_budget_minutes is used up ({self.budget_seconds / 60:.0f}): the next push carries on")


def refuse_beyond_loopback(settings: Settings) -> None:
    """Live effects go to a Centra on this machine only, as long as some guards are missing.

    Raises:
        ConfigurationError: names the variable and why.
    """
    for variable, url in (
        ("CENTRA_GRAPHQL_URL", settings.centra_graphql_url),
        ("CENTRA_ORDER_API_URL", settings.centra_order_api_url),
    ):
        host = urlsplit(url).hostname or ""
        if url and not _is_loopback(host):
            raise ConfigurationError(
                f"HR_CENTRA_MODE=live is refused: {variable} points to {host}, which is not this machine. The surge "
                "guard and the approvals that have to stand before real money do not exist yet. Use "
                "HR_CENTRA_MODE=dry_run to see what would be sent, or the sandbox to send it."
            )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def breached_caps(packets: Iterable[Packet], policy: Policy) -> dict[OperationName, str]:
    """Operations whose packets together exceed a cap of the policy, with what was exceeded. None of them is sent."""
    counts: dict[OperationName, int] = defaultdict(int)
    money: dict[str, Decimal] = defaultdict(Decimal)
    for packet in packets:
        counts[packet.operation] += len(packet.members)
        if packet.operation == "credit":
            money[packet.payload["currency"]] += Decimal(packet.payload["total"])
    breached: dict[OperationName, str] = {}
    for operation, count in counts.items():
        if count > policy.caps.effects_per_run:
            breached[operation] = f"caps.effects_per_run: {count:,} effects, {policy.caps.effects_per_run:,} allowed"
    for currency, amount in money.items():
        cap = policy.caps.money_per_run.get(currency)
        if cap is not None and amount > cap:
            breached["credit"] = (
                f"caps.money_per_run.{currency}: {shown(amount, currency)}, {shown(cap, currency)} allowed"
            )
    return breached
