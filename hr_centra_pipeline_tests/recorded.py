"""What every sandbox of this test process recorded: whatever our code used of a Centra has to be in the ledger of assumptions."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from graphql import GraphQLEnumType, GraphQLObjectType, build_schema, get_named_type

from hr_centra_pipeline.sandbox.centra.used import Used
from hr_centra_pipeline.sandbox.server import Sandbox, SandboxSettings
from hr_centra_pipeline.sources.centra.assumptions import unlisted
from hr_centra_pipeline_tests.sources.centra.schemas import DOCUMENTED

_made: list[tuple[Used, int]] = []  # with how much of it was judged already
_make = Sandbox.__init__


def _noted(self: Sandbox, home: Path, settings: SandboxSettings | None = None) -> None:
    _make(self, home, settings)
    _made.append((self._used, 0))


def listen() -> None:
    """Take note of each sandbox that is made from now on."""
    Sandbox.__init__ = _noted  # type: ignore[method-assign]


def not_in_the_ledger() -> list[str]:
    """Coordinates that were used since the last call and that the ledger does not list, or no document of the Order API."""
    found: set[str] = set()
    for place, (used, judged) in enumerate(_made):
        shown = used.shown()
        size = sum(map(len, shown.values())) + len(used.unknown_keys)
        if size != judged:
            _made[place] = (used, size)
            # An answer beyond the documents is one that a test has asked the sandbox for.
            shown["enum_words_answered"] = [
                word for word in shown["enum_words_answered"] if word in _documented_words()
            ]
            found |= {*unlisted(shown), *(f"{key} (in no document)" for key in used.unknown_keys)}
    return sorted(found)


@cache
def _documented_words() -> frozenset[str]:
    """Words of the enums that the documented schema answers; a sort is answered by an introspection only."""
    types = build_schema(DOCUMENTED, assume_valid=True).type_map.values()
    fields = [field for one in types if isinstance(one, GraphQLObjectType) for field in one.fields.values()]
    answered = {get_named_type(field.type) for field in fields}
    return frozenset(
        f"{one.name}.{word}" for one in answered if isinstance(one, GraphQLEnumType) for word in one.values
    )
