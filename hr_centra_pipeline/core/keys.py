"""Deterministic keys: made of business ids only, so that planning twice gives the same keys and no second effect.

An effect key *is* the short text that is written into Centra: ``HR`` and 13 base32 characters of a SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

SEPARATOR = "\x1f"
EFFECT_KEY = re.compile(r"\bHR[A-Z2-7]{13}\b")
PACKET_KEY = re.compile(r"\bPK[A-Z2-7]{13}\b")
_ANY_KEY = re.compile(r"\b(HR|PK)([A-Z2-7]{13})\b")


def _short(text: str) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[:13]


def effect_key(kind: str, *business_ids: str) -> str:
    """The key of one effect: its kind and the unit's (or the return's and order's) ids. SQL twin: ``effect_key``."""
    return "HR" + _short(SEPARATOR.join((kind, *business_ids)))


def packet_key(member_keys: Iterable[str]) -> str:
    """The key of a packet: a hash of its members' keys, whatever their order."""
    return "PK" + _short(SEPARATOR.join(sorted(member_keys)))


def effect_keys_in(text: str | None) -> list[str]:
    """Every effect key written in a text that came back from Centra, in order, each once."""
    return list(dict.fromkeys(EFFECT_KEY.findall(text or "")))


def without_keys(text: str) -> str:
    """A text from an export for a comment in Centra: what looks like one of our keys gets a hyphen, and is none.

    What is read back from a comment proves effects; an id or code of another system never may. SQL twin: ``without_keys``.
    """
    return _ANY_KEY.sub(r"\1-\2", text)


# DuckDB has sha256() but no base32: 13 characters are 65 bits, which are read from the hash in 30 and 35, and written to the base
# 32 with digits of its own. The hash is mentioned as seldom as possible: a macro repeats what it is given for each mention, and
# every statement that asks for a key is planned with all of that.
SQL_MACROS = """
create or replace macro base32_of_hex(h) as translate(
    to_base(('0x' || substr(h, 1, 8))::bigint >> 2, 32, 6)
    || to_base((('0x' || substr(h, 8, 10))::bigint >> 3) & 34359738367, 32, 7),
    '0123456789ABCDEFGHIJKLMNOPQRSTUV', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
);
create or replace macro effect_key(kind, ids) as
    'HR' || base32_of_hex(sha256(kind || chr(31) || array_to_string(ids, chr(31))));
-- The ids of a unit's replacement, and of its release: what is ordered again after it was canceled has its ordinal, too.
create or replace macro exchange_ids(unit, ordinal) as
    case when ordinal = 1 then [unit] else [unit, ordinal::varchar] end;
create or replace macro without_keys(given) as regexp_replace(given, '\\b(HR|PK)([A-Z2-7]{13})\\b', '\\1-\\2', 'g');
create or replace macro packet_key(members) as
    'PK' || base32_of_hex(sha256(array_to_string(list_sort(members), chr(31))));
"""
