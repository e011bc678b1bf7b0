"""The GraphQL operations that we use, read from ``operations/*.graphql``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

from graphql import FieldNode, OperationDefinitionNode, OperationType, parse

_FOLDER = resources.files("hr_centra_pipeline.sources.centra").joinpath("operations")


@dataclass(frozen=True)
class Operation:
    """One operation. ``mutations``: its mutation fields; each of them counts against the quota."""

    name: str
    text: str
    mutations: tuple[str, ...]

    @property
    def is_mutation(self) -> bool:
        """It changes something in Centra: never sent again by itself once its outcome is in doubt."""
        return bool(self.mutations)


@cache
def load(name: str) -> Operation:
    """One operation by name.

    Raises:
        KeyError: there is no such file, or its operation has another name.
    """
    file = _FOLDER.joinpath(f"{name}.graphql")
    if not file.is_file():
        raise KeyError(f"no operation {name}: known are {', '.join(names())}")
    text = file.read_text(encoding="utf-8")
    definitions = [node for node in parse(text).definitions if isinstance(node, OperationDefinitionNode)]
    if len(definitions) != 1 or definitions[0].name is None or definitions[0].name.value != name:
        raise KeyError(f"{name}.graphql must hold one operation of that name")
    found = definitions[0]
    is_mutation = found.operation is OperationType.MUTATION
    fields = [node.name.value for node in found.selection_set.selections if isinstance(node, FieldNode)]
    return Operation(name, text, tuple(fields) if is_mutation else ())


@cache
def names() -> tuple[str, ...]:
    """Every operation that we have, sorted."""
    files = (entry.name for entry in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".graphql") for name in files if name.endswith(".graphql")))
