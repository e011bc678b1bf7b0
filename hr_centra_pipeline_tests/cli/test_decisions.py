from __future__ import annotations

import pytest

from hr_centra_pipeline.cli import decisions
from hr_centra_pipeline.core.errors import ConfigurationError

_LINE = "--line needs --unit, once or more: the units that are of that line."
_BOTH = f"{_LINE} --unrelated does not go with --line."
_EITHER = "Give either --unit, once or more, for the units that the {} was for, or --unrelated; one of the two."


@pytest.mark.parametrize(
    ("kind", "units", "unrelated", "message"),
    [
        ("line", [], True, _BOTH),
        ("line", ["IT-1"], True, _BOTH),
        ("line", [], False, _LINE),
        ("order", [], False, "--order needs --unit, once or more: the units that the order replaces."),
        ("money", [], True, "--money goes with neither --unit nor --unrelated: write `hr-centra tie UNIT --money`."),
        ("release", ["IT-1"], False, "--release goes with neither --unit nor --unrelated: write `hr-centra tie UNIT --release`."),
        ("refund", [], False, _EITHER.format("refund")),
        ("return", ["IT-1"], True, _EITHER.format("Return")),
    ],
)  # fmt: skip
def test_options_of_a_tie_that_do_not_go_together_are_named(
    kind: decisions.TieKind, units: list[str], unrelated: bool, message: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        decisions.tie("77", units, kind=kind, unrelated=unrelated, by="finance", why="seen")
    assert str(refused.value) == message


@pytest.mark.parametrize("units", [["IT-1", "IT-1"], ["IT-1=10", "IT-1=20"], ["IT-2", "IT-1=10", "IT-1"]])
def test_the_same_unit_named_twice_is_refused_whatever_its_amounts(units: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="name each unit once"):
        decisions.tie("77", units, kind="refund", unrelated=False, by="finance", why="seen")
