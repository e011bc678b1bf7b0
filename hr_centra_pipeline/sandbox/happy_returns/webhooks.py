"""Happy Returns pushes: its outbox, its settings, and how it signs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hr_centra_pipeline.sandbox.happy_returns.vendor_settings import HappyReturnsSettings
from hr_centra_pipeline.sandbox.webhooks.outbox import Delivery, Outbox


class HappyReturnsWebhooks:
    """What is due in Happy Returns' own file; the shop puts it there as its rows change."""

    def __init__(self, path: Path) -> None:
        self.outbox = Outbox.at(path)

    def mishaps(self) -> HappyReturnsSettings:
        """What is set now."""
        return self.outbox.settings(HappyReturnsSettings())

    def configure(self, given: Mapping[str, Any]) -> HappyReturnsSettings:
        """Change settings.

        Raises:
            ValueError: there is no such setting.
        """
        return self.outbox.configure(HappyReturnsSettings(), given)

    def headers(self, delivery: Delivery) -> dict[str, str]:
        """Content type and signature."""
        signature = {"X-Hr-Signature": self.mishaps().signed(delivery)} if delivery.signature != "missing" else {}
        return {"Content-Type": "application/json", "User-Agent": "HappyReturns-Webhooks/1.0", **signature}

    def gather(self) -> None:
        """Nothing to do: the shop has put it there."""
