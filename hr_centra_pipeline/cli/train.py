"""``hr-centra train``: a shop of its own with planted trouble; what is solved is seen in Centra's records and published files."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.text import Text

from hr_centra_pipeline.cli.command_groups import examples
from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo, echo_json
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed

if TYPE_CHECKING:
    from hr_centra_pipeline.cli.training_lessons import Lesson

app = typer.Typer(
    no_args_is_help=True, help="Learn on a shop of your own: find planted trouble, solve it, have it checked."
)

Row = dict[str, Any]
_STATE = "training.json"
_RETURNS = 8
_AUTHOR = "the-trainer"
"""Who changed the training's policy last: the trainee may decide."""


@app.command(epilog=examples("hr-centra train start", "hr-centra train start --seed 7"))
def start(seed: Annotated[int, typer.Option(help="Which shop: others have other returns in trouble.")] = 1) -> None:
    """Make the training's shop and plant its trouble; takes a few minutes."""
    from hr_centra_pipeline.cli.training_shop import make

    home = _home()
    if (home / _STATE).exists():
        raise ConfigurationError(
            f"{home}: the training has begun; `hr-centra train status` shows it, `train reset` removes it."
        )
    lessons = make(home, seed=seed, returns=_RETURNS, author=_AUTHOR)
    (home / _STATE).write_text(json.dumps(lessons, indent=2, default=str), encoding="utf-8")
    echo(f"{len(lessons['lessons'])} lessons are ready in {home}.")
    status()


@app.command(epilog=examples("hr-centra train status", "hr-centra train status --json"))
def status(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """The list of lessons, by team, and which are solved as of the last sync."""
    with _served() as note:
        _show(_verdicts(note), as_json=as_json)


@app.command(epilog=examples("hr-centra train show wrong-order"))
def show(
    lesson: Annotated[str, typer.Argument(help="Its name, as `train status` lists it.")],
    hint: Annotated[bool, typer.Option("--hint", help="Show the commands, too.")] = False,
) -> None:
    """One lesson: what is wrong, what to do, and where the manual says more."""
    from hr_centra_pipeline.core import page_addresses
    from hr_centra_pipeline.core.settings import Settings

    kept = _kept(lesson)
    one = _lesson(lesson)
    settings = Settings.from_environment()
    console = DataConsole(width=min(DataConsole().width, 100))
    console.print(Text.assemble((f"{one.title}", "bold"), f"   ({kept['owner_team'].replace('_', ' ')}, {one.kind})"))
    for name, value in (
        ("Exception", kept["detail"]), ("Task", one.task),
        ("Manual", f"docs/exceptions.md#{one.kind}, or {settings.pages_url}{page_addresses.of_manual('exceptions', one.kind)}"),
        ("Page", f"{settings.pages_url}{page_addresses.of_exception(kept['exception_id'])}"),
    ):  # fmt: skip
        console.print(Text.assemble((f"{name:10} ", "bold"), value))
    if hint:
        from hr_centra_pipeline.core import clock

        given = {**kept, "home": str(_home()), "now": f"{clock.now():%Y-%m-%dT%H:%M:%SZ}"}
        console.print(Text("Commands", "bold"))
        for line in one.hint:
            echo(f"  {line.format_map(given)}")
    else:
        console.print(Text("Stuck? --hint shows the commands.", "dim"))
    console.print(Text("Done? hr-centra train check " + one.name, "dim"))


@app.command(epilog=examples("hr-centra train check", "hr-centra train check wrong-order new-grade"))
def check(
    lessons: Annotated[list[str] | None, typer.Argument(metavar="LESSON", help="Only these; default: all.")] = None,
    hours: Annotated[
        int, typer.Option(help="Hours that pass before: parcels and providers take theirs.", min=1, max=72)
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Let an hour pass, sync, and see in the records what is solved.

    Exit code 0: all of them are solved; 1: some are not yet.
    """
    from hr_centra_pipeline.cli import sandbox
    from hr_centra_pipeline.cli.progress_bar import progress
    from hr_centra_pipeline.cli.sync import run_sync

    for name in lessons or []:
        _kept(name)
    with _served() as note:
        with progress("Time passes: what you did reaches the exports …") as line:
            sandbox.let_pass(note, hours)
            line.update("Sync …")
            run_sync()
        found = [one for one in _verdicts(note) if not lessons or one["lesson"] in lessons]
    _show(found, as_json=as_json, with_missing=True)
    raise typer.Exit(0 if all(one["is_solved"] for one in found) else 1)


@app.command(
    epilog=examples(
        "hr-centra train centra refund_return return_id=9",
        "hr-centra train centra move_stock sku=101-MOSS-S quantity=3 into=1",
    )
)
def centra(
    act: Annotated[str, typer.Argument(help="What somebody does in Centra's admin, like refund_return.")],
    given: Annotated[list[str] | None, typer.Argument(metavar="NAME=VALUE", help="On what, and how.")] = None,
) -> None:
    """Do by hand what one does in Centra's admin."""
    with _served() as note:
        answer = _asked(note, "person", act=act, given=_pairs(given or []))
    if answer["refused"]:
        raise RunFailed(f"Centra refuses it: {answer['refused']}.")
    echo(f"Done in Centra ({answer['made']}). `hr-centra train check` syncs and checks.")


@app.command(
    name="happy-returns",
    epilog=examples(
        "hr-centra train happy-returns IT-000026 disposition=sellable",
        "hr-centra train happy-returns RT-000014 order_number=1026",
    ),
)
def happy_returns(
    name: Annotated[str, typer.Argument(help="Return, unit or refund, like RT-000014, IT-000026, RF-000032-1.")],
    fields: Annotated[list[str], typer.Argument(metavar="FIELD=VALUE", help="What its rows are to say.")],
) -> None:
    """Have Happy Returns' support correct what its rows say; the next export has it."""
    with _served() as note:
        answer = _asked(note, "correct", row=name, changes=_pairs(fields))
    echo(f"Corrected: {', '.join(answer['changed'])}. `hr-centra train check` syncs and checks.")


@app.command(
    name="look-up",
    epilog=examples(
        "hr-centra train look-up customer6@example.com",
        "hr-centra train look-up 1026",
        "hr-centra train look-up RT-000014",
    ),
)
def look_up(
    name: Annotated[
        str, typer.Argument(help="Order number or e-mail address in Centra; return, unit or refund at Happy Returns.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """What the vendors' own pages would show: orders of Centra, rows of Happy Returns."""
    home = _home()
    _started(home)
    rows = _orders(home, name) or _rows(home, name)
    if not rows:
        raise ConfigurationError(f"{name}: neither vendor has an order, shopper, return, unit or refund of that name.")
    if as_json:
        echo_json(rows)
        return
    for row in rows:
        echo("  ".join(f"{field}={value}" for field, value in row.items() if value not in (None, "")))


@app.command(epilog=examples("hr-centra train reset"))
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False) -> None:
    """Remove the training's shop, to begin again."""
    from hr_centra_pipeline.cli import sandbox

    home = _home()
    if not (home / "sandbox").is_dir():
        raise ConfigurationError(f"{home}: there is no training here.")
    if sandbox.running(home / "sandbox") is not None:
        raise RunFailed(f"{home / 'sandbox'} is being served: end what serves it first.")
    if not yes and not typer.confirm(f"Remove {home} and all that is in it?"):
        echo("Nothing was removed.")
        return
    shutil.rmtree(home)
    echo(f"Removed: {home}. `hr-centra train start` begins again.")


# ---------------------------------------------------------------- checking


def _verdicts(note: Mapping[str, Any]) -> list[Row]:
    """Each lesson with ``is_solved`` and, if it is not, ``missing`` in words."""
    from hr_centra_pipeline.cli import sandbox
    from hr_centra_pipeline.core.settings import Settings

    records = sandbox.control(dict(note), "records", method="GET")
    state = _started(_home())
    published = _published(Settings.from_environment())
    return [
        {
            "lesson": kept["lesson"], "team": kept["owner_team"], "kind": kept["kind"], "title": _lesson(kept["lesson"]).title,
            "about": kept["return_id"] or kept["order_number"] or kept["evidence"].get("source_file", ""),
            "missing": (missing := verdict(kept, state["open"], published, records)), "is_solved": missing is None,
        }
        for kept in state["lessons"]
    ]  # fmt: skip


def verdict(kept: Row, open_before: Sequence[str], published: Row, records: Mapping[str, Any]) -> str | None:
    """``None``: solved. Else what is missing, in words.

    ``published``: what is open now, and the last closing event of each exception (``open``: rows by id; ``closed``: by id).
    """
    proof = _lesson(kept["lesson"]).proof
    if kept["exception_id"] in published["open"]:
        return f"still open as of the last sync: {published['open'][kept['exception_id']]['detail']}"
    closing_event = published["closed"].get(kept["exception_id"])
    if closing_event is None:
        return "not closed by a sync yet"
    if closing_event["decision"]:
        return f"closed by a decision ({closing_event['decision']}), not solved"
    if proof is not None and (missing := proof(records, kept)) is not None:
        return missing
    for one in published["open"].values():
        is_of_it = kept["return_id"] and one["return_id"] == kept["return_id"]
        if is_of_it and one["exception_id"] not in open_before:
            return f"closed, but now {one['kind']} is open on {one['return_id']}: {one['detail']}"
    return None


def _published(settings: Any) -> Row:
    from hr_centra_pipeline.cli.training_shop import open_exceptions, published_rows

    rows = published_rows(
        settings,
        "select exception_id, proof, decision from reconciliation.exception_events where event = 'closed'"
        ' qualify row_number() over (partition by exception_id order by "at" desc) = 1',
    )
    return {
        "open": {one["exception_id"]: one for one in open_exceptions(settings)},
        "closed": {one["exception_id"]: one for one in rows},
    }


def _show(found: Sequence[Row], *, as_json: bool, with_missing: bool = False) -> None:
    if as_json:
        echo_json(list(found))
        return
    table = DataTable(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
    table.add_column("", no_wrap=True)
    table.add_column("lesson", no_wrap=True)
    table.add_column("about", ratio=2)
    table.add_column("what", ratio=5)
    console = DataConsole(width=min(DataConsole().width if DataConsole().is_terminal else 118, 118))
    for team in dict.fromkeys(one["team"] for one in found):
        table.add_row("", Text(team.replace("_", " "), "bold"), "", "")
        for one in (one for one in found if one["team"] == team):
            sign = Text("✓", "green") if one["is_solved"] else Text("·", "dim")
            what = Text(one["title"])
            if one["missing"] and with_missing:
                what.append(f"\n{_short(one['missing'])}", "dim")
            table.add_row(sign, one["lesson"], one["about"], what)
    console.print(table)
    solved = sum(one["is_solved"] for one in found)
    console.print(Text(f"{solved} of {len(found)} solved. One lesson: hr-centra train show LESSON", "bold"))


def _short(text: str, most: int = 160) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


# ---------------------------------------------------------------- the shop


@contextmanager
def _served() -> Iterator[dict[str, Any]]:
    """The training's sandbox, and this process pointed to it."""
    from hr_centra_pipeline.cli import sandbox
    from hr_centra_pipeline.cli.demo import point_here

    home = _home()
    _started(home)
    with sandbox.served(home / "sandbox") as note:
        point_here(home, note)
        yield note


def _home() -> Path:
    from hr_centra_pipeline.cli.where import sandbox_home

    return sandbox_home("training")


def _started(home: Path) -> Row:
    try:
        state: Row = json.loads((home / _STATE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{home}: there is no training yet; run `hr-centra train start` first.") from None
    except ValueError:
        raise RunFailed(f"{home / _STATE} is damaged: `hr-centra train reset`, then `train start`.") from None
    return state


def _lesson(name: str) -> Lesson:
    # Imported here: help must not wait for it.
    from hr_centra_pipeline.cli.training_lessons import LESSONS

    return next(one for one in LESSONS if one.name == name)


def _kept(name: str) -> Row:
    """The exception that a lesson is about."""
    lessons = _started(_home())["lessons"]
    for one in lessons:
        if one["lesson"] == name:
            return dict(one)
    raise ConfigurationError(f"{name}: no such lesson; one of {', '.join(one['lesson'] for one in lessons)}.")


def _asked(note: Mapping[str, Any], route: str, **body: Any) -> Any:
    """One call of a control route.

    Raises:
        ConfigurationError: what is asked for does not exist; the sandbox's own words.
    """
    import requests

    answer = requests.post(f"{note['control_url']}/{route}", json=body, timeout=60)
    if answer.status_code == 400:
        raise ConfigurationError(str(answer.json()["message"]).partition(": ")[2])
    answer.raise_for_status()
    return answer.json()


def _pairs(given: Sequence[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    if wrong := [name for name, sign, _ in pairs if not sign or not name]:
        raise ConfigurationError(f"{wrong[0]}: write NAME=VALUE.")
    return {name: value for name, _, value in pairs}


def _orders(home: Path, name: str) -> list[Row]:
    return _queried(
        home / "sandbox" / "centra.sqlite",
        """
        select orders.number as order_number, email, orders.status, currency, sku, shipment_lines.quantity, unit_price,
            shipments.id as shipment, shipments.is_captured as captured
        from orders join customers on customers.id = customer_id join order_lines on order_lines.order_number = orders.number
        join sizes on sizes.id = size_id left join shipment_lines on order_line_id = order_lines.id
        left join shipments on shipments.id = shipment_id
        where cast(orders.number as text) = :name or email = :name order by orders.number, order_lines.id
        """,
        name,
    )


def _rows(home: Path, name: str) -> list[Row]:
    found = _queried(
        home / "sandbox" / "happy_returns.sqlite",
        "select kind, state from rows where json_extract(state, '$.return_id') = :name"
        " or json_extract(state, '$.item_id') = :name or json_extract(state, '$.refund_id') = :name order by kind, key",
        name,
    )
    return [{"row": row["kind"], **json.loads(row["state"])} for row in found]


def _queried(path: Path, sql: str, name: str) -> list[Row]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, {"name": name})]
