"""What this Centra's schema forbids to send, kept with the guards: the rest is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from hr_centra_pipeline.core.codes import Guard
from hr_centra_pipeline.core.kinds import EFFECT_TYPE_OF
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.push.guards import Breach
from hr_centra_pipeline.push.packets import Effect
from hr_centra_pipeline.sources.centra import centra_calls, contract_record
from hr_centra_pipeline.warehouse.database import Connection

GUARD = "contract"


@dataclass(frozen=True)
class Unfit:
    """Why an effect type cannot be sent to this Centra, and why credit notes that a payer pays cannot."""

    effect_types: Mapping[str, str] = field(default_factory=dict)
    payers: Mapping[str, str] = field(default_factory=dict)

    def of(self, effect: Effect) -> str | None:
        """Why an effect must not be sent; ``None``: it fits."""
        effect_type = EFFECT_TYPE_OF[effect.effect_kind]
        if effect_type in self.effect_types:
            return self.effect_types[effect_type]
        if effect_type != "credit_note":
            return None
        return self.of_payment(effect.pays_through or "", instead=effect.origin_return_id is not None)

    def of_payment(self, payer: str, *, instead: bool) -> str | None:
        """Why a payer cannot pay; ``instead``: on the Return of a canceled replacement, which may have to be opened again."""
        return self.payers.get(payer) or (self.payers.get(centra_calls.INSTEAD) if instead else None)

    def breaches(self, due: Iterable[Effect]) -> list[Breach]:
        """What is stopped of what is due now, as breaches of a guard: its exception names the reason."""
        stopped: Counter[tuple[str, Guard, str, str]] = Counter()
        for effect in due:
            if reason := self.of(effect):
                effect_type = EFFECT_TYPE_OF[effect.effect_kind]
                is_whole = effect_type in self.effect_types
                guard = GUARD if is_whole else f"{GUARD} {effect.pays_through}"
                stopped[effect_type, "contract" if is_whole else "contract_payer", guard, reason] += 1
        return [
            Breach(effect_type, code, guard, None, count, None, Decimal(0), f"{effect_type}: {reason}")
            for (effect_type, code, guard, reason), count in stopped.items()
        ]


def unfit(connection: Connection, policy: Policy) -> Unfit:
    """What the last look at the contract forbids under this policy."""
    reasons = contract_record.reasons(connection, policy)
    return Unfit(
        {name: reason for name, reason in reasons.items() if name in centra_calls.SENDING},
        {payer: reasons[name] for payer in centra_calls.PAYING if (name := centra_calls.paid_by(payer)) in reasons},
    )
