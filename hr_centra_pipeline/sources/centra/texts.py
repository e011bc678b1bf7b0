"""What of Centra's free texts may be kept: our own marks and code-like words, nobody's name, address or e-mail."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationInfo

from hr_centra_pipeline.core.keys import EFFECT_KEY, PACKET_KEY

# Bounds and lookbehinds keep each of these linear in the text: it is others', and may be long.
OUR_LINE = re.compile(r"\[hr-centra [^\]\n]{0,1000}\]")
OUR_VALUE = re.compile(r"[^()\n]{1,200} \(HR[A-Z2-7]{13}\)")
_LONGEST_REFERENCE = 100
_HALF = re.compile("[\ud800-\udfff]")
_EMAIL = re.compile(r"(?<![^\s@<>()\[\],;:])[^\s@<>()\[\],;:]++@[^\s@<>()\[\],;:]+")
_PHONE = re.compile(r"(?<!\w)(?:\+|00)\d[\d ()./-]{5,}\d")
# Whatever of a voucher is taken off a Return as its cost, as push/returns.py writes it, is one word for us.
_CODE_LIKE = re.compile(
    r"\bvoucher \d{1,10}(?:\.\d{1,4})?(?![\w.])"
    r"|(?<![\w-])(?=[\w-]*\d)[A-Za-z0-9][\w-]*|\bHR[A-Z0-9]{6}\b|\bHR[A-Z2-7]{13}\b|\bPK[A-Z2-7]{13}\b"
)


def our_marks(text: str | None) -> str | None:
    """Of an order's internal comment: our own lines, and our keys outside of them; ``None`` when there are none."""
    given = text or ""
    lines = OUR_LINE.findall(given)
    elsewhere = OUR_LINE.sub(" ", given)
    keys = [*PACKET_KEY.findall(elsewhere), *EFFECT_KEY.findall(elsewhere)]
    return "\n".join([*lines, *dict.fromkeys(keys)]) or None


def our_value(value: str | None) -> str | None:
    """Of our attribute: its value as we write it; ``None`` when it is anything else, which may be a person's words."""
    return value if value and OUR_VALUE.fullmatch(value) else None


def codes_only(text: str | None) -> str | None:
    """Of a Return's comment: keys, express codes and words with a digit (ids); other words are people's."""
    found = _CODE_LIKE.findall(_without_contacts(text or ""))
    return " ".join(found) or None


def without_contacts(text: str | None) -> str:
    """A stock change's text, e-mail addresses and telephone numbers blacked out: what it is about is said in words."""
    return _without_contacts(text or "")


def whole_characters(answer: Any) -> Any:
    """A JSON value in whose texts each half of a character (a lone surrogate) is replaced by U+FFFD.

    JSON may hold them, UTF-8 cannot: no database could take the text.
    """
    if isinstance(answer, str):
        return answer.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _HALF.search(answer) else answer
    if isinstance(answer, dict):
        return {whole_characters(key): whole_characters(value) for key, value in answer.items()}
    if isinstance(answer, list):
        return [whole_characters(value) for value in answer]
    return answer


def references_in(params: object, info: ValidationInfo) -> object:
    """Of a payment provider's raw answer (``paramsJSON``): the references at the policy's paths, in their order.

    ``info.context["reference_paths"]``: dotted paths, such as ``PaymentTransactions.0.PaymentTransactionId``. An answer
    that cannot be read, or is not a text, holds none: the payment is landed nevertheless.
    """
    if not isinstance(params, str):
        return []
    return values_at(params, (info.context or {}).get("reference_paths", []))


def values_at(params: str, paths: Sequence[str]) -> list[str]:
    """Texts of a provider's answer at dotted paths, each once; none of an answer that cannot be read."""
    try:
        answer = json.loads(params, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return []
    found = (_at(whole_characters(answer), path.split(".")) for path in paths)
    return list(dict.fromkeys(value for value in found if value))


def _at(value: Any, path: list[str]) -> str | None:
    for part in path:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value.strip() if isinstance(value, str) and len(value) <= _LONGEST_REFERENCE else None


def _without_contacts(text: str) -> str:
    return _PHONE.sub("***", _EMAIL.sub("***", text))
