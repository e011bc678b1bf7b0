"""What of an answer can be relied on. Nothing in it has to be of the type that the schema promises."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.sources.centra.texts import whole_characters

_LONGEST = 1000  # characters of a text of others that we show
_MOST = 100  # errors of an answer, or fields that it names
_INT = 2**31  # of a GraphQL Int, and so of every id of Centra's
_LARGEST = 10**9  # of a quota or a cost


class Unreadable(ValueError):
    """A part of an answer is not what it has to be; the text names the part."""


def errors_in(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The ``errors`` of an answer. Whatever is there in their place is an error in itself, with that as its message."""
    given = body.get("errors")
    if given is None or given == []:
        return []
    each = given if isinstance(given, list) else [given]
    return [one if isinstance(one, Mapping) else {"message": one} for one in each[:_MOST]]


def text_of_error(error: Mapping[str, Any]) -> str:
    """Message and path of an error, as they are."""
    path = ".".join(path_of(error))
    return f"{shown(error.get('message')).rstrip('.')}{f' (at {path})' if path else ''}"


def path_of(error: Mapping[str, Any]) -> tuple[str, ...]:
    """Where an error is, outermost first; empty when it does not say."""
    path = error.get("path")
    return tuple(shown(part) for part in path[:_MOST]) if isinstance(path, list) else ()


def category_of(error: Mapping[str, Any]) -> str:
    """Centra's word for the kind of an error; empty when there is none."""
    extensions = error.get("extensions")
    return shown(extensions.get("category", "")) if isinstance(extensions, Mapping) else ""


def user_errors(payload: Any) -> list[dict[str, Any]]:
    """Why Centra refused a mutation: each with a text ``message`` and a ``path`` of texts; empty: it did it.

    Raises:
        Unreadable: it cannot be seen whether it did.
    """
    if not isinstance(payload, Mapping):
        raise Unreadable("its payload is not an object")
    given = payload.get("userErrors")
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(one, Mapping) for one in given):
        raise Unreadable("its userErrors are not a list of objects")
    return [{**one, "message": shown(one.get("message")), "path": list(path_of(one))} for one in given[:_MOST]]


def extensions_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """What Centra adds to an answer; empty when that is not an object."""
    given = body.get("extensions")
    return dict(given) if isinstance(given, Mapping) else {}


def complexity_of(extensions: Mapping[str, Any]) -> int:
    """What an operation cost of the quota; 0: not known."""
    return whole(extensions.get("complexity")) or 0


def app_version_of(extensions: Mapping[str, Any]) -> str | None:
    """Centra's version, if it said."""
    given = extensions.get("appVersion")
    return shown(given) if isinstance(given, str) and given else None


def deprecated_in(extensions: Mapping[str, Any]) -> set[str]:
    """Fields that we use and that Centra calls deprecated: as a text, or an object with one, which is not documented."""
    given = extensions.get("deprecatedFieldsUsed")
    each = given[:_MOST] if isinstance(given, list) else []
    names = [one.get("field") or one.get("name") or one if isinstance(one, Mapping) else one for one in each]
    return {shown(name) for name in names}


def limits_in(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of ``rateLimits`` that can be read.

    Raises:
        Unreadable: there are rows and none of them can, or what is there is not a list.
    """
    given = data.get("rateLimits")
    if not isinstance(given, list):
        raise Unreadable("rateLimits is not a list")
    rows = [row for row in given if isinstance(row, Mapping) and _is_limit(row)]
    if given and not rows:
        raise Unreadable("no row of rateLimits has a type, an interval and whole numbers")
    return [{**row, **{name: whole(row[name]) for name in ("quota", "remainingQuota")}} for row in rows]


def _is_limit(row: Mapping[str, Any]) -> bool:
    words = all(isinstance(row.get(name), str) for name in ("type", "intervalSeconds"))
    return words and all(whole(row.get(name)) is not None for name in ("quota", "remainingQuota"))


def nodes_of(connection: Any) -> list[dict[str, Any]]:
    """The nodes of a page. One that is not an object is an empty one: it fits no model, so that it is refused by name.

    Raises:
        Unreadable: there is no list of edges.
    """
    edges = connection.get("edges") if isinstance(connection, Mapping) else None
    if not isinstance(edges, list):
        raise Unreadable("its edges are not a list")
    nodes = [edge.get("node") if isinstance(edge, Mapping) else None for edge in edges]
    return [dict(node) if isinstance(node, Mapping) else {} for node in nodes]


def cursor_after(connection: Mapping[str, Any]) -> str | None:
    """The cursor of the next page; ``None``: this was the last one.

    Raises:
        Unreadable: neither can be seen.
    """
    info = connection.get("pageInfo")
    goes_on = info.get("hasNextPage") if isinstance(info, Mapping) else None
    if not isinstance(info, Mapping) or not isinstance(goes_on, bool):
        raise Unreadable("it does not say whether there is a next page")
    if not goes_on:
        return None
    cursor = info.get("endCursor")
    if not isinstance(cursor, str) or not cursor:
        raise Unreadable(f"it ends at the cursor {shown(cursor)}: it does not lead to the next page")
    return cursor


def objects_in(data: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects by its field; one that is not an object is an empty one.

    Raises:
        Unreadable: it is not a list.
    """
    given = data.get(name)
    if not isinstance(given, list):
        raise Unreadable(f"{name} is not a list")
    return [dict(one) if isinstance(one, Mapping) else {} for one in given]


def identity(node: Mapping[str, Any], name: str = "id") -> int | None:
    """An object's whole number, by the field it is in; ``None``: it cannot be read."""
    given = node.get(name)
    return given if isinstance(given, int) and not isinstance(given, bool) and abs(given) < _INT else None


def whole(value: Any) -> int | None:
    """A number that is whole and not larger than any quota; ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    if not -_LARGEST <= value <= _LARGEST:
        return None
    return int(value) if value == int(value) else None


def shown(value: Any) -> str:
    """A value of others as one short text."""
    text: str = whole_characters(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
