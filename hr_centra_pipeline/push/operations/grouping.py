"""What the operations share when they cut a plan into packets. Centra counts mutations, so packets are filled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.core.keys import packet_key
from hr_centra_pipeline.core.kinds import OperationName, Step
from hr_centra_pipeline.push.packets import Effect, Packet, Payload

ANY_KEY = "PK" + "A" * 13
NOTHING = Decimal(0)


@dataclass
class Grouping:
    """What was cut out of a plan: packets in the order of sending, and (effect, why it stays)."""

    packets: list[Packet] = field(default_factory=list)
    skipped: list[tuple[Effect, str]] = field(default_factory=list)

    def add(
        self,
        operation: OperationName,
        members: Sequence[Effect],
        payload: Payload,
        *,
        step: Step | None = None,
        centra_id: str | None = None,
    ) -> None:
        """Freeze one packet.

        Raises:
            ForbiddenMoveError: its operation cannot begin at that step.
        """
        effect_keys = tuple(effect.effect_key for effect in members)
        since = min(effect.waiting_since for effect in members)
        step = step or payload.STEPS.first
        payload.STEPS.check_begin(step)
        self.packets.append(
            Packet(
                packet_key(effect_keys), operation, effect_keys, payload, step, centra_id=centra_id, waiting_since=since
            )
        )


def grouped(effects: Iterable[Effect], by: Callable[[Effect], tuple[object, ...]]) -> list[list[Effect]]:
    """Groups in the order of their first effect."""
    groups: dict[tuple[object, ...], list[Effect]] = {}
    for effect in effects:
        groups.setdefault(by(effect), []).append(effect)
    return list(groups.values())


def filled(effects: Sequence[Effect], fits: Callable[[Sequence[Effect]], bool]) -> list[list[Effect]]:
    """Fill packets up to what fits; an effect that has to travel alone gets one of its own. A bundle's parts go together."""
    packets: list[list[Effect]] = []
    is_open = False
    for together in grouped(effects, lambda effect: (effect.bundle or effect.effect_key,)):
        alone = any(effect.travels_alone for effect in together)
        if is_open and not alone and fits([*packets[-1], *together]):
            packets[-1] += together
        else:
            packets.append(together)
            is_open = not alone
    return packets


def without_broken_bundles(effects: Sequence[Effect], result: Grouping) -> list[Effect]:
    """Credits without those of a bundle of which some part may not be sent now: its line is named once, for all of them."""
    there = Counter(effect.bundle for effect in effects if effect.bundle)
    waiting = [effect for effect in effects if effect.bundle and there[effect.bundle] != effect.bundle_units]
    result.skipped += [(effect, say("waits_for_bundle")) for effect in waiting]
    broken = {effect.bundle for effect in waiting}
    return [effect for effect in effects if effect.bundle not in broken]


def summed(amounts: Iterable[Decimal | None]) -> Decimal:
    """The sum of amounts of one currency; what is not known counts as nothing."""
    return sum((amount or NOTHING for amount in amounts), NOTHING)
