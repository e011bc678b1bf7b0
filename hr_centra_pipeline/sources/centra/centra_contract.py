"""The contract with this Centra: what the ledger of assumptions says next to what its schema says.

Whatever one of our operations uses is looked up by coordinate; then the whole document and its variables are validated, so that
nothing escapes. What a schema cannot show (the REST Order API, behaviours) is listed as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLSchema,
    build_client_schema,
    get_introspection_query,
    get_operation_ast,
    get_variable_values,
    parse,
    validate,
)

from hr_centra_pipeline.core.kinds import CALLED
from hr_centra_pipeline.core.words import GRAPHQL_ENUMS, CentraWords
from hr_centra_pipeline.sources.centra import centra_operations
from hr_centra_pipeline.sources.centra.assumptions import CoordinateKind, Known, Ledger, ledger
from hr_centra_pipeline.sources.centra.centra_calls import WIDEST, Variables, plain
from hr_centra_pipeline.sources.centra.centra_errors import Permanent
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.readable import unreadable
from hr_centra_pipeline.sources.centra.uses import Kind, Problem, Use, uses

Verdict = Literal["as_assumed", "differs", "cannot_be_seen"]
Words = Mapping[str, Mapping[str, Sequence[str]]]
"""What we read: GraphQL enum → meaning → words."""

# With deprecated arguments and members, which work as well; some servers know no such option, and are asked without.
_INTROSPECTIONS = tuple(
    get_introspection_query(descriptions=False, input_value_deprecation=is_known) for is_known in (True, False)
)
_LISTED_AS: Mapping[Kind, CoordinateKind] = {
    "root field": "field", "field": "field", "argument": "argument", "input member": "input member", "word": "word",
}  # fmt: skip
_UPDATE = "hr-centra is updated (report this line)"
# Meanings by which nothing is decided: what an order or a Return is not (cancelled, completed) is all that is asked.
_DECIDES_NOTHING = frozenset(
    {
        ("PaymentHistoryEntryType", "neutral"), ("StockChangeType", "expected"), ("OrderStatus", "open"),
        ("OrderStatus", "shipped"), ("ReturnStatus", "pending"),
    }
)  # fmt: skip
_SETTINGS = {enum: f"centra.words.{name}" for name, enum in GRAPHQL_ENUMS.items()}
_DEFAULTS = {enum: getattr(CentraWords(), name).by_meaning() for name, enum in GRAPHQL_ENUMS.items()}
# Enums whose words the program itself knows: the rate limiter needs them.
_FIXED: Words = {
    "RateLimitType": {word: [word] for word in ("REQUEST_COUNT", "MUTATION_COUNT", "QUERY_COMPLEXITY")},
    "RateLimitInterval": {word: [word] for word in ("TEN_SECONDS", "ONE_HOUR")},
}  # fmt: skip
_NAMES = {**CALLED, "credit_note by centra": "refunds through Centra", "credit_note by gift_card": "gift cards"}


@dataclass(frozen=True)
class Row:
    """One thing that we rely on, next to what this Centra has.

    ``operations``: ours that need it; ``effect_types``: what is sent with them under the present policy. ``basis``: the tag
    of the ledger. ``stops``: what is read or sent under the present policy needs it, and cannot be until the remedy is applied.
    """

    kind: str
    coordinate: str
    basis: str
    operations: tuple[str, ...]
    effect_types: tuple[str, ...]
    expected: str
    found: str
    verdict: Verdict
    stops: bool
    remedy: str


class NotASchema(ValueError):
    """What should be the result of an introspection is not one."""


_REQUIRED: tuple[Problem | None, ...] = ("required", "required_at_times")


def asked(client: CentraClient) -> Mapping[str, Any]:
    """What a Centra answers to an introspection.

    Raises:
        CentraError: it refuses, or does not answer.
    """
    fullest, plainest = _INTROSPECTIONS
    try:
        return client.ask("IntrospectionQuery", fullest, {}).data
    except Permanent:
        return client.ask("IntrospectionQuery", plainest, {}).data


def schema_of(introspection: Any) -> GraphQLSchema:
    """The schema of an introspection's result: ``{"__schema": …}``, or that below ``data``.

    Raises:
        NotASchema: it is something else.
    """
    found = introspection.get("data", introspection) if isinstance(introspection, Mapping) else None
    try:
        return build_client_schema(found, assume_valid=True)  # type: ignore[arg-type]
    except (TypeError, KeyError, ValueError, AttributeError, GraphQLError) as error:
        raise NotASchema(f"not the result of a GraphQL introspection: {str(error)[:200]}") from error


def words_read(words: CentraWords) -> Words:
    """The policy's words by meaning, under the names of Centra's enums."""
    return {enum: getattr(words, name).by_meaning() for name, enum in GRAPHQL_ENUMS.items()}


# ---------------------------------------------------------------- what the schema shows


def compared(
    schema: GraphQLSchema,
    needed: Mapping[str, frozenset[str]],
    words: Words,
    variables: Mapping[str, Variables] = WIDEST,
) -> list[Row]:
    """Each coordinate that our operations use next to this schema: differences first.

    ``needed``: operations by effect type under the present policy; ``words``: see :data:`Words`; ``variables``: the widest
    of each operation that is compared.
    """
    listed = ledger()
    names = [name for name in centra_operations.names() if name in variables]
    by_operation = {name: list(_uses_of(schema, name, variables[name])) for name in names}
    rows = [
        *_of_uses(by_operation, needed, listed),
        *_of_words(schema, by_operation, needed, {**words, **_FIXED}, listed),
    ]
    return sorted(rows, key=lambda row: (row.verdict != "differs", not row.stops))


def _uses_of(schema: GraphQLSchema, name: str, variables: Variables) -> Iterator[Use]:
    """What one operation uses. Should the validation find more than the coordinates show, it is a use as well."""
    text = centra_operations.load(name).text
    found = [*uses(schema, text, variables), *unreadable(schema, name)]
    yield from found
    if not any(use.problem for use in found):
        for problem in problems(schema, text, plain(variables)):
            yield Use("type", name, "a valid document", problem, "another type")


def problems(schema: GraphQLSchema, text: str, variables: Mapping[str, Any]) -> Iterator[str]:
    """Why a document with its variables is not valid in a schema, in words."""
    document = parse(text)
    yield from (error.message for error in validate(schema, document))
    operation = get_operation_ast(document)
    assert operation is not None  # noqa: S101 - each of our documents holds one operation
    values = get_variable_values(schema, operation.variable_definitions, dict(variables))
    if isinstance(values, list):  # of mistakes
        yield from (error.message for error in values)


def _of_uses(
    by_operation: Mapping[str, Sequence[Use]], needed: Mapping[str, frozenset[str]], listed: Ledger
) -> Iterator[Row]:
    """One row per coordinate; more when it fits some operations and not others."""
    users: dict[tuple[str, str, str | None], list[tuple[str, Use]]] = {}
    for name, found in by_operation.items():
        for use in found:
            users.setdefault((use.kind, use.coordinate, use.problem), []).append((name, use))
    for (_, _, problem), those in users.items():
        use, names = those[0][1], sorted({name for name, _ in those})
        effect_types = _effect_types(names, needed)
        known = listed.of(_LISTED_AS[use.kind], use.coordinate) if use.kind in _LISTED_AS else None
        is_needed = bool(effect_types) or any(name.startswith("Pull") for name in names)
        yield Row(
            "required" if problem in _REQUIRED else use.kind, use.coordinate, known.tag if known else "assumed", tuple(names),
            effect_types, use.expected, use.found, "differs" if problem else "as_assumed",
            bool(problem) and is_needed, _remedy(use, known, effect_types) if problem else "",
        )  # fmt: skip


def _effect_types(names: Iterable[str], needed: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    return tuple(effect_type for effect_type, of in needed.items() if of & set(names))


def _remedy(use: Use, known: Known | None, effect_types: Sequence[str]) -> str:
    if use.problem in _REQUIRED:
        how_often = "in every call" if use.problem == "required_at_times" else "at all"
        return f"hr-centra does not send it {how_often}. {consequence(effect_types, _UPDATE)}"
    if known and known.remedy:
        return f"{_advice(known)} {consequence(effect_types)}"
    return consequence(effect_types, _UPDATE)


def _advice(known: Known) -> str:
    return f"{known.remedy} ({known.setting})" if known.setting else known.remedy


def consequence(effect_types: Sequence[str], until: str = "then") -> str:
    """What will not work, in a sentence."""
    if not effect_types:
        return "Nothing that the policy sends needs it."
    return f"Not sent until {until}: {', '.join(_NAMES.get(one, one) for one in effect_types)}."


# ---------------------------------------------------------------- words that we read


def _of_words(
    schema: GraphQLSchema,
    by_operation: Mapping[str, Sequence[Use]],
    needed: Mapping[str, frozenset[str]],
    words: Words,
    listed: Ledger,
) -> Iterator[Row]:
    """Each word that we read, and each that this Centra has and nobody gave a meaning."""
    for enum, meanings in words.items():
        readers = sorted(name for name, found in by_operation.items() if any(use.enum == enum for use in found))
        type_ = schema.get_type(enum)
        if not isinstance(type_, GraphQLEnumType):
            yield Row(
                "word", enum, "assumed", tuple(readers), (), "an enum", "nothing of that name", "cannot_be_seen", False,
                "What its words mean is judged as they come: unknown ones are reported as drift.",
            )  # fmt: skip
            continue
        there = list(type_.values)
        known = {word for of_meaning in meanings.values() for word in of_meaning}
        free = [word for word in there if word not in known]
        for meaning, of_meaning in meanings.items():
            reading = _Reading(enum, meaning, of_meaning, [word for word in of_meaning if word in there], free, readers)
            yield from _of_meaning(reading, needed, listed)
        for word in free:
            yield Row(
                "word", f"{enum}.{word}", "assumed", tuple(readers), (), "not known", "a word", "differs", False,
                _remedy_of_free_word(enum, word),
            )  # fmt: skip


@dataclass(frozen=True)
class _Reading:
    """What we read as one meaning. ``there``: those of its words that this Centra has; ``free``: its words without a meaning."""

    enum: str
    meaning: str
    words: Sequence[str]
    there: Sequence[str]
    free: Sequence[str]
    readers: Sequence[str]

    @property
    def setting(self) -> str:
        return f"{_SETTINGS.get(self.enum, self.enum)}.{self.meaning}"

    @property
    def is_lost(self) -> bool:
        """Something is decided by it, and this Centra has no word for it."""
        decides = (self.enum, self.meaning) not in _DECIDES_NOTHING and self.enum not in _FIXED
        return decides and bool(self.words) and not self.there


def _of_meaning(reading: _Reading, needed: Mapping[str, frozenset[str]], listed: Ledger) -> Iterator[Row]:
    """The words of one meaning that the ledger lists. One that is missing matters when no other word says the same.

    What is pulled is landed whatever its words are; what is looked at right before a call decides about it.
    """
    known = {word: listed.of("word", f"{reading.enum}.{word}") for word in reading.words}
    for word in [word for word, of in known.items() if of] or reading.words[:1]:
        of, coordinate = known[word], f"{reading.enum}.{word}"
        basis, readers = of.tag if of else "assumed", tuple(reading.readers)
        if word in reading.there:
            yield Row("word", coordinate, basis, readers, (), reading.meaning, word, "as_assumed", False, "")
            continue
        deciding = tuple(name for name in readers if not name.startswith("Pull")) if reading.is_lost else ()
        effect_types = _effect_types(deciding, needed)
        found = f"words without a meaning: {', '.join(reading.free)}" if reading.free else "no such word"
        yield Row(
            "word", coordinate, basis, deciding or readers, effect_types, reading.meaning, found, "differs", bool(deciding),
            _remedy_of_word(reading, effect_types),
        )  # fmt: skip


def _remedy_of_free_word(enum: str, word: str) -> str:
    setting = _SETTINGS.get(enum, enum)
    if enum == "StockChangeType":
        return f"List it under {setting}.expected, and it is not reported any more; nothing depends on it."
    by_default = next((meaning for meaning, words in _DEFAULTS.get(enum, {}).items() if word in words), None)
    if by_default is not None:
        return f"By default it means {by_default}; your list in [{setting}] has replaced that one: add it there."
    beside = "beside the words that are listed there by default"
    return f"Say in [{setting}] what it means, {beside}; until then nothing is decided by it."


def _remedy_of_word(reading: _Reading, effect_types: Sequence[str]) -> str:
    means = reading.meaning.replace("_", " ")
    if reading.enum in _FIXED:
        return "The rate limiter leaves that quota alone; what Centra refuses with 429 is waited out."
    if reading.is_lost:
        step = f"Set {reading.setting} to the words of your Centra that mean {means}, or to [] if it has none."
        return f"{step} {consequence(effect_types)}"
    if reading.there:
        return f"Nothing to set: {', '.join(reading.there)} means {means} as well."
    return f"Nothing is decided by it; take it out of {reading.setting} and it is not reported any more."


# ---------------------------------------------------------------- what no schema shows


def unseen(seen: Iterable[str] = ()) -> Iterator[Row]:
    """What we rely on and cannot look up: keys of the REST Order API, and how Centra behaves where that is assumed.

    ``seen``: coordinates that were looked at otherwise.
    """
    listed, known_already = ledger(), set(seen)
    for kind in ("REST key", "REST answer"):
        for coordinate, known in listed.coordinates[kind].items():
            if coordinate not in known_already:
                yield Row(kind, coordinate, known.tag, (), (), "a key", "", "cannot_be_seen", False, _advice(known))
    for behaviour in listed.behaviours.values():
        coordinate = f"behaviour.{behaviour.id}"
        if behaviour.vendor == "Centra" and behaviour.known.tag == "assumed" and coordinate not in known_already:
            yield Row(
                "behaviour", coordinate, "assumed", (), (), behaviour.relies_on, "", "cannot_be_seen", False,
                _advice(behaviour.known),
            )  # fmt: skip


def without_schema(reason: str) -> Row:
    """The one row that takes the place of a schema that could not be read."""
    return Row(
        "schema", "Query.__schema", "documented", (), (), "answers an introspection", reason[:500], "cannot_be_seen", False,
        "Ask Centra to allow introspection for this token; until then nothing is refused for it.",
    )  # fmt: skip
