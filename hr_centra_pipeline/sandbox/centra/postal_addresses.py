"""Postal addresses: made up for a customer, written by the Order API in its own keys, shown by GraphQL in others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hr_centra_pipeline.sandbox.centra.markets import STATE_IDS, country_of

Address = dict[str, Any]

_STREETS = ("High Street", "Mill Lane", "Station Road", "Church Walk", "Harbour View")
_CITIES = ("Springfield", "Riverton", "Fairview", "Lakeside", "Greenville")
# How an address is written by the Order API, and where it is kept.
KEYS: Mapping[str, str] = {
    "firstName": "first_name", "lastName": "last_name", "email": "email", "address": "address1", "coaddress": "address2",
    "zipcode": "zip_code", "city": "city", "country": "country", "state": "state", "tele": "phone_number",
    "cell": "cell_phone_number", "attn": "attention",
}  # fmt: skip
FIELDS = (
    "first_name", "last_name", "email", "address1", "address2", "zip_code", "city", "country", "state_code",
    "state_or_province", "phone_number", "cell_phone_number", "company_name", "attention", "vat_number",
)  # fmt: skip


def made_up(customer_id: int, *, first_name: str, last_name: str, email: str, country: str) -> Address:
    """An address that no other customer has. One in ten has ``state`` and a mobile number where others have texts."""
    states = list(country_of(country).states)
    state = states[customer_id % len(states)] if states else None
    is_structured = customer_id % 10 == 7
    phone = f"+4655{customer_id:06d}"
    return {
        "first_name": first_name, "last_name": last_name, "email": email, "country": country,
        "address1": f"{customer_id} {_STREETS[(customer_id - 1) % len(_STREETS)]}",
        "address2": f"c/o {_STREETS[customer_id % len(_STREETS)].split()[0]}" if customer_id % 3 == 0 else None,
        "zip_code": f"{10000 + 7 * customer_id}", "city": _CITIES[(customer_id - 1) % len(_CITIES)],
        "state_code": state if is_structured else None, "state_or_province": None if is_structured else state,
        "phone_number": None if is_structured else phone, "cell_phone_number": phone if is_structured else None,
    }  # fmt: skip


def of_order_api(given: Mapping[str, Any]) -> Address:
    """An address as the Order API was given it; a state that the country knows is kept as such, any other as text."""
    kept = {name: _text(given.get(key)) for key, name in KEYS.items()}
    state = kept.pop("state")
    is_known = state in country_of(kept["country"] or "").states
    return {**kept, "state_code": state if is_known else None, "state_or_province": None if is_known else state}


def _text(value: Any) -> str | None:
    text = "" if value is None else str(value).strip()
    return text or None


def kept(address: Address) -> str:
    """As a column keeps it."""
    return json.dumps({name: address.get(name) for name in FIELDS}, ensure_ascii=False)


def read(text: str | None) -> Address:
    """From a column; an object without an address has an empty one."""
    found: Address = json.loads(text) if text else {}
    return {name: found.get(name) for name in FIELDS}


def shown(address: Address) -> Address:
    """As GraphQL shows it: ``state`` as an object of its own."""
    country = country_of(address["country"] or "")
    code = address["state_code"]
    state = code and {
        "id": STATE_IDS.get((country.code, code), 0),
        "code": code,
        "name": country.states.get(code, code),
    }
    # The names of fields with a number get an underscore before it.
    lines = {"address_1": address["address1"], "address_2": address["address2"]}
    return {**address, **lines, "state": state, "country": {"code": country.code, "name": country.name}}
