"""What a shop has beyond a plain one, as real shops have: switches, all of them off by default."""

from __future__ import annotations

from dataclasses import dataclass

from hr_centra_pipeline.sandbox.centra.centra_database import GIFT_CARD_BY_EMAIL, CentraSettings


@dataclass(frozen=True)
class Variety:
    """``cancelled_one_in``: of so many orders one is cancelled before it ships; 0: none. ``ships_replacements``: the
    warehouse packs and ships what is ordered as a replacement, and forgets some of it. ``plants``: what ``Variations`` has.
    ``exports``: share of the customers who live in a country that the shop exports to.
    """

    cancelled_one_in: int = 0
    ships_replacements: bool = False
    plants: bool = False
    exports: float = 0.0


PLAIN = Variety()
VARIED = Variety(cancelled_one_in=20, ships_replacements=True, plants=True, exports=0.1)
"""The shop of the demo; it goes with ``VARIED_CENTRA``."""

VARIED_CENTRA = CentraSettings(
    gift_card_members=GIFT_CARD_BY_EMAIL,
    captures_in_two_steps=("card",),
    refunds_in_two_steps=("card",),
    cancels_in_two_steps=True,
    provider_answers_after_hours=5,
    authorisation_references=("card",),
    unknown_words=True,
    tax_engine_countries=("US",),
    tax_engine_drift_cents=3,
    export_countries=("CH",),
)
