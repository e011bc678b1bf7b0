"""The example policy names every setting, and shows the default of those that it leaves out."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from hr_centra_pipeline.core.policy import Policy, load_policy

EXAMPLE = Path(__file__).parents[2] / "data" / "policy.example.toml"
_SETTING = re.compile(r"^# (\[[\w.-]+\]|[\w-]+ = .*)$")


def every_setting() -> str:
    """The example with each setting that is left out put in."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    return "\n".join(_SETTING.sub(r"\1", line.split("  #")[0].rstrip()) for line in lines)


def settings(model: type[BaseModel], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(place, default) of each setting below a section."""
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        if isinstance(default, BaseModel):
            yield from settings(type(default), (*place, name))
        else:
            yield (*place, name), default


def shown(text: str, place: tuple[str, ...]) -> Any:
    """What a policy has at a place; ``None``: nothing."""
    found: Any = tomllib.loads(text)
    for name in place:
        found = (found or {}).get(name)
    return found


EVERY = list(settings(Policy))


@pytest.mark.parametrize(("place", "default"), EVERY, ids=[".".join(place) for place, _ in EVERY])
def test_each_setting_is_named_with_its_default(place: tuple[str, ...], default: Any) -> None:
    value = shown(every_setting(), place)
    assert value is not None
    is_left_out = shown(EXAMPLE.read_text(encoding="utf-8"), place) is None
    if is_left_out and default is not PydanticUndefined and default not in (None, {}, []):
        assert str(value) == str(default)


def test_the_example_with_every_setting_put_in_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(every_setting(), encoding="utf-8")
    load_policy(path)


def models_of(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models somewhere inside a type, such as those of a table whose keys are a shop's own words."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_of(inner)


def tables(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Each setting that is a table by the shop's own words, with what one entry of it holds."""
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        if isinstance(default, BaseModel):
            yield from tables(type(default))
        else:
            for inner in models_of(field.annotation):
                yield name, inner


@pytest.mark.parametrize(("name", "entry"), list(tables(Policy)), ids=lambda one: str(one))
def test_each_setting_of_an_entry_of_the_shop_s_own_tables_is_named(name: str, entry: type[BaseModel]) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    rows = re.findall(rf"^(?:# )?\[{name}\.[^\]]+\]\n((?:.+\n)+)", text, re.MULTILINE)
    named = {key for row in rows for key in re.findall(r"^(?:# )?([\w-]+) = ", row, re.MULTILINE)}
    assert set(entry.model_fields) - named == set()


def test_each_setting_is_explained_where_it_is_or_above_its_table() -> None:
    """A comment on its line, on the line above, or at the head of its table."""
    bare = []
    for block in re.split(r"\n\n+", EXAMPLE.read_text(encoding="utf-8")):
        lines = block.splitlines()
        settings = [line for line in lines if re.match(r"^(?:# )?[\w-]+ = ", line)]
        prose = [line for line in lines if re.match(r"^# (?![\w-]+ = |\[)", line)]
        bare += [
            line for line in settings if not prose and "  #" not in line and not line.lstrip("# ").startswith(_OWN)
        ]
    assert bare == []


# Entries of a table that is explained with its first one, further up.
_OWN = ("hold_hours", "warehouse_id", "stock", "absolute", "in-store")
