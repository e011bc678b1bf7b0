"""What of Centra's free texts may be kept: our own marks and code-like words, nobody's name, address or e-mail."""

from __future__ import annotations

import re

from hr_centra_pipeline.core.keys import EFFECT_KEY, PACKET_KEY

OUR_LINE = re.compile(r"\[hr-centra [^\]\n]*\]")
_EMAIL = re.compile(r"[^\s@<>()\[\],;:]+@[^\s@<>()\[\],;:]+")
_PHONE = re.compile(r"(?<!\w)(?:\+|00)\d[\d ()./-]{5,}\d")
_CODE_LIKE = re.compile(
    r"(?<![\w-])(?=[\w-]*\d)[A-Za-z0-9][\w-]*|\bHR[A-Z0-9]{6}\b|\bHR[A-Z2-7]{13}\b|\bPK[A-Z2-7]{13}\b"
)


def our_marks(text: str | None) -> str | None:
    """Of an order's internal comment: our own lines, and our keys outside of them; ``None`` when there are none."""
    given = text or ""
    lines = OUR_LINE.findall(given)
    elsewhere = OUR_LINE.sub(" ", given)
    keys = [*PACKET_KEY.findall(elsewhere), *EFFECT_KEY.findall(elsewhere)]
    return "\n".join([*lines, *dict.fromkeys(keys)]) or None


def codes_only(text: str | None) -> str | None:
    """Of a Return's comment: keys, express codes and words with a digit (ids); other words are people's."""
    found = _CODE_LIKE.findall(_without_contacts(text or ""))
    return " ".join(found) or None


def without_contacts(text: str | None) -> str:
    """A stock change's text, e-mail addresses and telephone numbers blacked out: what it is about is said in words."""
    return _without_contacts(text or "")


def _without_contacts(text: str) -> str:
    return _PHONE.sub("***", _EMAIL.sub("***", text))
