"""The ways in which a file may spell a character of an address: its case, its parts, and what JSON, URLs and markup make of it."""

from __future__ import annotations

import unicodedata
from functools import cache


def characters(text: str) -> list[str]:
    """A text's characters, each composed: *o* with a diaeresis beside it is one."""
    return list(unicodedata.normalize("NFC", text))


@cache
def forms(character: str) -> tuple[str, ...]:
    """A character as it may be spelled; hexadecimal digits and ASCII letters in lower case only: search without regard to case."""
    cases = {character, character.lower(), character.upper(), character.casefold()}
    plain = cases | {unicodedata.normalize(form, one) for form in ("NFC", "NFD") for one in cases}
    found = plain | {spell(one) for one in plain for spell in (_json, _url, _url_latin)}
    found |= {text for one in plain for text in _markup(one)}
    return tuple(sorted(found, key=lambda one: (-len(one), one)))


def _json(text: str) -> str:
    raw = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[at : at + 2].hex()}" for at in range(0, len(raw), 2))


def _url(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))


def _url_latin(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode("latin-1", "ignore")) or text


def _markup(text: str) -> set[str]:
    """Zeros in front are as valid: all that people write are at most six digits."""
    return {
        "".join(f"&#{mark}{ord(one):0{digits}{kind}};" for one in text)
        for mark, kind in (("", "d"), ("x", "x"))
        for digits in range(1, 7)
    }
