"""The template of a gift card: how the input that Centra leaves undocumented is filled. It is data, and is never evaluated.

A placeholder is a known name in braces, such as ``{email}``, anywhere in a text of the template; what replaces it is not
looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

PLACEHOLDERS = ("email", "order_number", "return_id", "currency", "amount")
"""``email`` is read right before the gift card is issued; ``return_id`` is Centra's; ``amount`` is a text such as 79.95."""

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def checked(template: Mapping[str, Any]) -> dict[str, Any]:
    """A template as it may be used.

    Raises:
        ValueError: names what is wrong with it.
    """
    if len(template) != 1:
        found = ", ".join(template) or "none"
        raise ValueError(
            f"give exactly one member of Centra's GiftCardCreateInput, with what it needs inside ({found})"
        )
    for text in _texts(template):
        unknown = sorted(set(_PLACEHOLDER.findall(text)) - set(PLACEHOLDERS))
        if unknown:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise ValueError(f"{{{unknown[0]}}} is not a placeholder; known are {known}")
    return dict(template)


def uses(template: Mapping[str, Any], placeholder: str) -> bool:
    """Whether a placeholder is anywhere in a template."""
    return any(placeholder in _PLACEHOLDER.findall(text) for text in _texts(template))


def filled(template: Any, values: Mapping[str, str]) -> Any:
    """The template with its placeholders replaced, in one pass."""
    if isinstance(template, Mapping):
        return {name: filled(inner, values) for name, inner in template.items()}
    if isinstance(template, list):
        return [filled(inner, values) for inner in template]
    if isinstance(template, str):
        return _PLACEHOLDER.sub(lambda found: values[found[1]], template)
    return template


def _texts(template: Any) -> Iterator[str]:
    if isinstance(template, Mapping):
        for inner in template.values():
            yield from _texts(inner)
    elif isinstance(template, list):
        for inner in template:
            yield from _texts(inner)
    elif isinstance(template, str):
        yield template
    elif not isinstance(template, bool | int):
        known = "only texts, whole numbers, true, false, lists and tables are sent"
        raise ValueError(f"write {template!r} as text: {known}")  # noqa: TRY004 - pydantic collects ValueErrors
