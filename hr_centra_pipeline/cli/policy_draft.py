"""A policy from the example and a few answers: what nobody has answered is left as a question that the loader refuses by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hr_centra_pipeline.cli.example_files import example
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.kinds import EFFECT_TYPE_OF
from hr_centra_pipeline.core.setting_files import parsed_toml, quoted, to_answer

NONE = "none"
_HEAD = (
    "# The policy: what this shop has decided about returns, drafted by `hr-centra init`.\n"
    "# A line with TO ANSWER is a question: state its setting below it. Nothing syncs until all are answered."
)


@dataclass(frozen=True)
class Question:
    """``place``: the setting in the policy. ``block``: its lines in the example, as a pattern. ``written``: an answer as TOML."""

    name: str
    place: tuple[str, ...]
    asked: str
    like: str
    block: str
    written: Callable[[str], str]


def draft(answers: Mapping[str, str]) -> str:
    """The example with the answers in their places, and a ``# TO ANSWER`` line for each question without one."""
    head, _, rest = example("data/policy.example.toml").read_text(encoding="utf-8").partition("\n")
    if not head.startswith("# The policy"):
        raise AssertionError("the example begins with another line than before")
    text = f"{_HEAD}\n{rest}"
    for question in QUESTIONS:
        found = list(re.finditer(question.block, text, re.MULTILINE))
        if len(found) != 1:
            raise AssertionError(f"{question.name}: its lines are {len(found)} times in the example")
        start, end = found[0].span()
        if question.name in answers:
            lines = question.written(answers[question.name])
        else:
            shown = [line if line.startswith("#") or not line else f"# {line}" for line in found[0][0].splitlines()]
            lines = "\n".join([to_answer(question.place, question.asked), *shown])
        text = text[:start] + lines + text[end:]
    # A template is one shop's own, and the example's is the sandbox's.
    return re.sub(r"(?m)^\[gift_card\]\ntemplate = (.*)$", r"# [gift_card]\n# template = \1", text)


# ---------------------------------------------------------------- how answers are written


def pairs(answer: str) -> dict[str, str]:
    """``EUR=500,SEK=5000`` as names with their values.

    Raises:
        ConfigurationError: a part has no equals sign, or a name is given twice.
    """
    found: dict[str, str] = {}
    for part in answer.split(","):
        name, sign, value = (one.strip() for one in part.partition("="))
        if not (name and sign and value):
            raise ConfigurationError(f"{part.strip()!r}: write pairs like EUR=500,SEK=5000.")
        if name in found:
            raise ConfigurationError(f"{name} is given twice; give it once.")
        found[name] = value
    return found


def _instant(answer: str) -> str:
    return f"cutover = {answer.strip()}"


def _text_of(key: str) -> Callable[[str], str]:
    return lambda answer: f"{key} = {quoted(answer.strip())}"


def _whole(answer: str) -> str:
    if not re.fullmatch(r"\d{1,12}", answer.strip()):
        raise ConfigurationError(f"{answer!r}: write a whole number.")
    return str(int(answer))


def _amounts(table: str) -> Callable[[str], str]:
    def written(answer: str) -> str:
        lines = [f"{_key(currency)} = {quoted(amount)}" for currency, amount in pairs(answer).items()]
        return "\n".join([f"[{table}]", *lines])

    return written


def _tolerance(answer: str) -> str:
    if answer.strip() == NONE:
        return "# none: every difference is an exception"
    lines = [f"[tolerance.{_key(currency)}]\nabsolute = {quoted(amount)}" for currency, amount in pairs(answer).items()]
    return "\n".join(lines)


def _dispositions(answer: str) -> str:
    blocks = []
    for word, where in pairs(answer).items():
        setting = 'stock = "none"' if where == NONE else f"warehouse_id = {_whole(where)}"
        blocks.append(f"[dispositions.{_key(word)}]\n{setting}")
    return "\n\n".join(blocks)


def _fees(answer: str) -> str:
    if answer.strip() == NONE:
        return "# none: no fee is deducted unless Happy Returns reports one"
    tables: dict[str, list[str]] = {}
    for name, amount in pairs(answer).items():
        method, colon, currency = name.partition(":")
        if not colon:
            raise ConfigurationError(f"{name!r}: write method:currency=amount, like mail:EUR=4.95.")
        tables.setdefault(method, []).append(f"{_key(currency)} = {quoted(amount)}")
    return "\n".join(
        "\n".join([f"[components.fee.amounts.{_key(method)}]", *lines]) for method, lines in tables.items()
    )


def _fee_source(answer: str) -> str:
    return f'[components.fee]\n# basis = "return"                  # or "item": never both\nsource = {quoted(answer.strip())}'


def _modes(answer: str) -> str:
    given = pairs(answer) if "=" in answer else dict.fromkeys(EFFECT_TYPE_OF.values(), answer.strip())
    return "\n".join(["[modes]", *(f"{_key(name)} = {quoted(mode)}" for name, mode in given.items())])


def _numbers(answer: str) -> str:
    first, dash, last = answer.partition("-")
    if not dash:
        raise ConfigurationError(f"{answer!r}: write the first and the last number, like 900000-999999.")
    return f"first_number = {_whole(first)}\nlast_number = {_whole(last)}"


def _caps(answer: str) -> str:
    run, slash, day = answer.partition("/")
    if not slash:
        raise ConfigurationError(f"{answer!r}: write both numbers, like 2000/5000.")
    return f"[caps]\neffects_per_run = {_whole(run)}\neffects_per_day = {_whole(day)}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)


QUESTIONS: tuple[Question, ...] = (
    Question(
        "cutover", ("cutover",),
        "From which instant on do returns belong to hr-centra? Those started before it are observed, never acted on.",
        "2026-08-27T00:00:00Z", r"^cutover = .*$", _instant,
    ),
    Question(
        "changed-by", ("changed_by",), "Who is responsible for this file? That person may not approve what it plans.",
        "anna", r"^# changed_by = .*$", _text_of("changed_by"),
    ),
    Question(
        "refunds", ("pays_through", "refund"),
        "Who pays refunds: centra (we make Centra refund), gift_card, or elsewhere (paid already, we only book)?",
        "centra", r"^refund = .*$", _text_of("refund"),
    ),
    Question(
        "gift-cards", ("pays_through", "gift-card"), "Who pays gift cards: centra, gift_card or elsewhere?",
        "elsewhere", r"^gift-card = .*$", _text_of("gift-card"),
    ),
    Question(
        "dispositions", ("dispositions",),
        "Which Centra warehouse (its id) do the goods of each grade go to, or none? A grade that is not listed blocks its unit.",
        "sellable=1,damaged=3,missing=none", r"^\[dispositions\.sellable\]\n(?:.+\n|\n(?=\[dispositions))*(?:.+)$", _dispositions,
    ),
    Question(
        "fee-source", ("components", "fee", "source"),
        "Whose processing fee is deducted from refunds: happy_returns (as its refund row reports) or policy (the amounts below)?",
        "happy_returns", r'^# \[components\.fee\]\n# basis.*\n# source = .*$', _fee_source,
    ),
    Question(
        "fees", ("components", "fee", "amounts"),
        "What is the fee by drop-off method and currency, where the policy decides or no refund row came in time? Or none.",
        "mail:EUR=4.95", r"^\[components\.fee\.amounts\.mail\]\n(?:[A-Z]{3} = .*\n?)+(?<!\n)", _fees,
    ),
    Question(
        "tolerance", ("tolerance",), "Which difference per refund is accepted, by currency? Or none.",
        "EUR=0.05", r"^\[tolerance\.EUR\]\n(?:.+\n)*.+$", _tolerance,
    ),
    Question(
        "replacement-numbers", ("exchange_orders", "first_number"),
        "Which range of at least 10,000 order numbers is reserved for replacement orders, used by nobody else?",
        "900000-999999", r"^first_number = .*\nlast_number = .*$", _numbers,
    ),
    Question(
        "modes", ("modes",),
        "How may each effect type be sent once HR_CENTRA_MODE=live: off, dry_run, approve or live? One word, or one for each type.",
        "dry_run", r"^# \[modes\]\n(?:# \w+ = .*\n?)+(?<!\n)", _modes,
    ),
    Question(
        "caps", ("caps", "effects_per_run"), "At most how many effects of a type in one run, and on one day?",
        "2000/5000", r"^# \[caps\]\n# effects_per_run.*\n# effects_per_day.*$", _caps,
    ),
    Question(
        "money-per-run", ("caps", "money_per_run"), "At most how much money in one run, by currency?",
        "EUR=50000", r"^# \[caps\.money_per_run\]\n# EUR.*$", _amounts("caps.money_per_run"),
    ),
    Question(
        "money-per-day", ("caps", "money_per_day"), "At most how much money on one day, by currency?",
        "EUR=80000", r"^# \[caps\.money_per_day\]\n# EUR.*$", _amounts("caps.money_per_day"),
    ),
    Question(
        "surge-factor", ("surge", "factor"),
        "How many times the median of the same weekday may a run send before a person has to look?",
        "6", r"^# \[surge\]\n# factor.*$", lambda answer: f"[surge]\nfactor = {quoted(answer.strip())}",
    ),
    Question(
        "approval-above", ("approval_above",), "A refund of more than how much waits for `hr-centra approve`, by currency?",
        "EUR=500", r"^# \[approval_above\]\n# EUR.*$", _amounts("approval_above"),
    ),
)  # fmt: skip


def problem(question: Question, answer: str) -> str | None:
    """Why an answer is none, in the policy's own words; ``None``: it is one."""
    from pydantic import ValidationError

    from hr_centra_pipeline.core.policy import Policy
    from hr_centra_pipeline.core.setting_files import mistakes_in

    try:
        text = draft({**{one.name: one.like for one in QUESTIONS}, question.name: answer})
        Policy.model_validate(parsed_toml(text, question.name))
    except ConfigurationError as error:
        return str(error)
    except ValidationError as error:
        return "; ".join(f"{'.'.join(map(str, place))}: {what}" for place, what in mistakes_in(error))
    return None
