"""The example policy names every setting, and shows the default of those that it leaves out."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
