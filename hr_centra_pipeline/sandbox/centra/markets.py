"""Where the shop sells: markets, pricelists, countries with their tax, default shipping cost and states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

# id -> name; id -> (name, currency). Further ones can be added to a store.
MARKETS: Mapping[int, str] = {1: "Europe", 2: "Sweden", 3: "United Kingdom", 4: "North America", 5: "Rest of the world"}
PRICELISTS: Mapping[int, tuple[str, str]] = {
    1: ("Euro", "EUR"), 2: ("Krona", "SEK"), 3: ("Sterling", "GBP"), 4: ("Dollar", "USD"), 5: ("Franken", "CHF"),
    6: ("Canada", "CAD"), 7: ("Norway", "NOK"),
}  # fmt: skip
BASE_CURRENCY = "EUR"
# What one unit of a currency is in the base currency.
RATES: Mapping[str, Decimal] = {
    "EUR": Decimal(1), "SEK": Decimal("0.0909"), "GBP": Decimal("1.1628"), "USD": Decimal("0.9091"),
    "CHF": Decimal("1.0500"), "CAD": Decimal("0.6700"), "NOK": Decimal("0.0860"),
}  # fmt: skip
_STATES: Mapping[str, Mapping[str, str]] = {
    "US": {"CA": "California", "IL": "Illinois", "NY": "New York", "OR": "Oregon", "TX": "Texas", "WA": "Washington"},
    "CA": {"BC": "British Columbia", "ON": "Ontario", "QC": "Quebec"},
    "DE": {"BE": "Berlin", "BY": "Bayern", "HH": "Hamburg"},
    "SE": {"AB": "Stockholms län", "M": "Skåne län"},
    "GB": {"ENG": "England", "SCT": "Scotland"},
    "FR": {"IDF": "Île-de-France", "PAC": "Provence-Alpes-Côte d'Azur"},
}

STATE_IDS: Mapping[tuple[str, str], int] = {
    place: number
    for number, place in enumerate(((country, code) for country, states in _STATES.items() for code in states), start=1)
}


@dataclass(frozen=True)
class StateTax:
    """What a tax engine knows of a state: goods below a price may be exempt, shipping may be taxed."""

    percent: Decimal
    taxes_shipping: bool = False
    exempt_below: Decimal = Decimal(0)


_STATE_TAXES: Mapping[tuple[str, str], StateTax] = {
    (country, state): StateTax(Decimal(percent), taxes_shipping, Decimal(exempt_below))
    for country, state, percent, taxes_shipping, exempt_below in (
        ("US", "CA", "7.25", False, "0"), ("US", "IL", "6.25", False, "0"), ("US", "NY", "8.875", True, "40"),
        ("US", "OR", "0", False, "0"), ("US", "TX", "8.25", True, "0"), ("US", "WA", "10.35", True, "0"),
        ("CA", "BC", "12", True, "0"), ("CA", "ON", "13", True, "0"), ("CA", "QC", "14.975", True, "0"),
    )
}  # fmt: skip


def state_tax_of(country: str, state: str) -> StateTax:
    """The tax of a state; of one that the engine does not know, the country's."""
    return _STATE_TAXES.get((country, state)) or StateTax(country_of(country).tax_percent)


@dataclass(frozen=True)
class Country:
    """``shipping``: its default cost in the pricelist's currency. ``states``: code -> name, as far as Centra knows them.

    ``needs_state``: an address without one is refused.
    """

    code: str
    name: str
    market_id: int
    pricelist_id: int
    tax_percent: Decimal
    shipping: Decimal
    states: Mapping[str, str] = field(default_factory=dict)
    needs_state: bool = False


COUNTRIES: Mapping[str, Country] = {
    code: Country(
        code, name, market, pricelist, Decimal(tax), Decimal(shipping), _STATES.get(code, {}), code in ("US", "CA")
    )
    for code, name, market, pricelist, tax, shipping in (
        ("AT", "Austria", 1, 1, "20", "4.90"), ("DE", "Germany", 1, 1, "19", "4.90"), ("FI", "Finland", 1, 1, "25.5", "5.90"),
        ("FR", "France", 1, 1, "20", "4.90"), ("IT", "Italy", 1, 1, "22", "5.90"), ("NL", "Netherlands", 1, 1, "21", "4.90"),
        ("SE", "Sweden", 2, 2, "25", "49.00"), ("GB", "United Kingdom", 3, 3, "20", "3.95"),
        ("US", "United States", 4, 4, "8", "5.95"), ("CA", "Canada", 4, 6, "5", "7.95"),
        ("CH", "Switzerland", 5, 5, "8.1", "9.90"), ("NO", "Norway", 5, 7, "25", "99.00"),
    )
}  # fmt: skip


def country_of(code: str) -> Country:
    """A country by its code; one that the shop does not know is sold to from its first market, without tax."""
    return COUNTRIES.get(code) or Country(code, code, 1, 1, Decimal(0), Decimal(0))
