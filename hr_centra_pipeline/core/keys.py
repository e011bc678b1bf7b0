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


# DuckDB has sha256() but no base32: 5 hex digits are 20 bits are 4 characters; 13 characters need 17 hex digits.
SQL_MACROS = """
create or replace macro base32_digit(n) as substr('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', (n & 31)::int + 1, 1);
create or replace macro base32_quad(h) as
    base32_digit(('0x' || h)::int >> 15) || base32_digit(('0x' || h)::int >> 10)
    || base32_digit(('0x' || h)::int >> 5) || base32_digit(('0x' || h)::int);
create or replace macro base32_of_hex(h) as
    base32_quad(substr(h, 1, 5)) || base32_quad(substr(h, 6, 5)) || base32_quad(substr(h, 11, 5))
    || base32_digit(('0x' || substr(h, 16, 2))::int >> 3);
create or replace macro effect_key(kind, ids) as
    'HR' || base32_of_hex(sha256(kind || chr(31) || array_to_string(ids, chr(31))));
-- The ids of a unit's replacement, and of its release: what is ordered again after it was canceled has its ordinal, too.
create or replace macro exchange_ids(unit, ordinal) as
    case when ordinal = 1 then [unit] else [unit, ordinal::varchar] end;
create or replace macro packet_key(members) as
    'PK' || base32_of_hex(sha256(array_to_string(list_sort(members), chr(31))));
"""
