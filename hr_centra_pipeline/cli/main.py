"""``hr-centra``: the command line.

Exit codes: 0 done; 1 the run failed, or what was asked for cannot be done now; 2 a setting, an option or a name is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.models import CommandFunctionType

from hr_centra_pipeline.cli import trouble_commands
from hr_centra_pipeline.cli.command_groups import Commands, examples
from hr_centra_pipeline.cli.table import echo
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed

RUN, LOOK, DECIDE, MONTH, SET_UP, SAFE, LEARN = "Run", "Look", "Decide", "Month end", "Set up", "Keep safe", "Learn"
"""The groups of commands in the help."""

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "hr-centra demo", "hr-centra status --demo", "hr-centra sync --env-file /etc/hr-centra/hr-centra.env"
    ),
    help="Joins Happy Returns to Centra: reads both, plans and sends effects, reports which returns are in trouble.",
)


def _command(panel: str, *lines: str, name: str | None = None) -> Callable[[CommandFunctionType], CommandFunctionType]:
    """A command of one group of the help; ``lines``: its examples."""
    return app.command(name=name, rich_help_panel=panel, epilog=examples(*lines))


class Role(StrEnum):
    """Who signs a closed month."""

    preparer = "preparer"
    reviewer = "reviewer"


def _show_version(is_asked: bool) -> None:
    if is_asked:
        from hr_centra_pipeline.core.version import release

        echo(f"hr-centra {release()}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    env_file: Annotated[
        Path | None,
        typer.Option(
            help="Read variables from a file of KEY=VALUE lines; those that are set already stay.", metavar="FILE"
        ),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Work on the demo's shop, in any folder.")] = False,
    training: Annotated[bool, typer.Option("--training", help="Work on the training shop, in any folder.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Options of every command, before or after its name."""
    if env_file is None and not demo and not training:
        return
    from hr_centra_pipeline.cli.where import work_on

    work_on(context, env_file=env_file, demo=demo, training=training)


# Each command imports what it needs: `--help` and `plan` must not wait for Dagster or a web server.
# ---------------------------------------------------------------- Run


@_command(RUN, "hr-centra sync", "hr-centra sync --events")
def sync(
    events: Annotated[
        bool, typer.Option("--events", help="Only take the deliveries that wait, pull what they name, plan and send.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What came of it, as `status --json` shows it.")] = False,
) -> None:
    """The hourly job once: read, plan, send (in live mode), reconcile, publish."""
    from hr_centra_pipeline.cli.sync import sync_once

    sync_once(events=events, as_json=as_json)


@_command(RUN, "hr-centra backfill --from 2026-01-01 --to 2026-03-31")
def backfill(
    from_: Annotated[str, typer.Option("--from", help="First day, like 2026-01-01 (UTC).")],
    to: Annotated[str, typer.Option("--to", help="Last day, like 2026-03-31 (UTC).")],
    again: Annotated[bool, typer.Option("--again", help="Read days again that an earlier backfill has read.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Read past days from both sides and plan; sends nothing. Resumes where it was stopped; the hourly sync can run in between."""
    from hr_centra_pipeline.cli.backfill_command import run_backfill

    run_backfill(from_, to, again=again, as_json=as_json)


@_command(RUN, "hr-centra compare")
def compare(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Compare all of Centra's history with what was read: what was edited, deleted or missed without a trace."""
    from hr_centra_pipeline.cli.compare_command import compare_now

    compare_now(as_json=as_json)


@_command(RUN, "hr-centra pages --port 3080")
def pages(
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback only with a login.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.", min=1, max=65535)] = 3080,
) -> None:
    """The pages for the teams: search, worklist, warehouse, finance, decisions, the manual. Nothing is shown without a login."""
    from hr_centra_pipeline.core.settings import Settings
    from hr_centra_pipeline.pages.app import serve

    serve(Settings.from_environment(), host, port, listening=echo)


# ---------------------------------------------------------------- Look


@_command(LOOK, "hr-centra status", "hr-centra status --demo", "hr-centra status --json")
def status(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """How it goes, on one screen: last sync, modes, what waits, exceptions by team, health, months, the next step.

    Exit code 0: the last sync succeeded; 1: it failed, or nothing was synced yet.
    """
    from hr_centra_pipeline.cli.status_command import show_status

    raise typer.Exit(show_status(as_json=as_json))


@_command(
    LOOK,
    "hr-centra exceptions",
    "hr-centra exceptions --team finance --limit 10",
    "hr-centra exceptions --kind stalled_return --json",
)
def exceptions(
    team: Annotated[
        str | None, typer.Option(help="Only those of one team: finance, warehouse, customer_service or data.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only those of one kind, like refund_mismatch_fee.")] = None,
    limit: Annotated[
        int | None, typer.Option(help="List so many, the most urgent first; the totals are of all.", min=1)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With details and next steps, as JSON.")] = False,
) -> None:
    """Open exceptions as of the last sync, most urgent first, with the names that `explain` takes."""
    from hr_centra_pipeline.cli.exceptions import show_exceptions

    show_exceptions(team, kind=kind, limit=limit, as_json=as_json)


@_command(LOOK, "hr-centra explain RT-000145", "hr-centra explain HR1A2B3C --json")
def explain(
    name: Annotated[str, typer.Argument(metavar="RETURN", help="Return id, express code, unit or order number.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """The full story of one return on a timeline: events, decisions, calls, Centra's ids, money, exceptions."""
    from hr_centra_pipeline.cli.explain import explain_return

    explain_return(name, as_json=as_json)


@_command(LOOK, "hr-centra plan", "hr-centra plan --all")
def plan(
    every: Annotated[
        bool, typer.Option("--all", help="List every packet, and by return and unit what is held back.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Every call with its variables, as JSON.")] = False,
) -> None:
    """What a live run would send, call by call, and what it would hold back and why. Sends nothing."""
    from hr_centra_pipeline.cli.plan_command import show_plan

    show_plan(every=every, as_json=as_json)


@_command(LOOK, "hr-centra shadow", "hr-centra shadow --from 2026-09-01 --to 2026-10-01")
def shadow(
    since: Annotated[str | None, typer.Option("--from", help="First UTC day, like 2026-09-01.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="The UTC day after the last.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """What hr-centra would have done compared with what people did in Centra, and whether that is enough to go live."""
    from hr_centra_pipeline.cli.shadow_command import show_shadow

    show_shadow(since, until, as_json=as_json)


@_command(LOOK, "hr-centra lineage effects.pending_credit_notes")
def lineage(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Like effects.pending_credit_notes.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """What a table is made from and what is made from it, with the SQL files in between."""
    from hr_centra_pipeline.cli.lineage import show_lineage

    show_lineage(table, as_json=as_json)


# ---------------------------------------------------------------- Decide


_By = Annotated[str | None, typer.Option(help="Who decides.")]
_Why = Annotated[str | None, typer.Option(help="The reason.")]


@_command(
    DECIDE,
    "hr-centra approve",
    'hr-centra approve RT-000145 --by anna --why "seen by phone"',
    'hr-centra approve --all credit_note --by anna --why "checked against the list"',
)
def approve(
    names: Annotated[
        list[str] | None, typer.Argument(help="Effect keys, units, returns, orders, or a packet in doubt.")
    ] = None,
    all_of: Annotated[list[str] | None, typer.Option("--all", help="Everything of an effect type that waits.")] = None,
    by: _By = None,
    why: _Why = None,
    as_json: Annotated[bool, typer.Option("--json", help="What waits, as JSON.")] = False,
) -> None:
    """Approve effects that wait for a person; without names, list them.

    Anyone except the person who ran the plan or last changed the policy can approve.

    The list also has stock movements that wait only until their restock hold is over ("waits until ..."): they are sent
    automatically then. Approving one ends the hold early: the goods are restocked with the next sync.
    """
    from hr_centra_pipeline.cli import decisions

    decisions.approve(names or [], all_of or [], by, why, as_json=as_json)


@_command(DECIDE, 'hr-centra raise credit_note --hours 6 --by anna --why "sale weekend"', name="raise")
def raise_(
    effect_type: Annotated[
        str, typer.Argument(help="credit_note, exchange_order, inventory_adjustment or status_update.")
    ],
    hours: Annotated[float, typer.Option(help="Until it expires; at most 168.")] = 24,
    effects: Annotated[
        int | None, typer.Option(help="At most this many on one day; default: what waits now, and a tenth.", min=1)
    ] = None,
    by: _By = None,
    why: _Why = None,
) -> None:
    """Let one effect type through its caps and its surge guard once."""
    from hr_centra_pipeline.cli import decisions

    decisions.raise_guard(effect_type, hours, effects, by, why)


@_command(DECIDE, 'hr-centra adopt HR1A2B3C --by anna --why "returned by hand before the cut-over"')
def adopt(
    name: Annotated[str, typer.Argument(metavar="RETURN", help="Return id or express code.")],
    by: _By = None,
    why: _Why = None,
) -> None:
    """Include a return by name: one from before the cut-over, or one whose Return was deleted in Centra."""
    from hr_centra_pipeline.cli import decisions

    decisions.adopt(name, by, why)


@_command(
    DECIDE,
    'hr-centra tie 4711 --unit IT-000145 --by anna --why "refund by phone"',
    'hr-centra tie 4711 --unrelated --by anna --why "goodwill"',
    'hr-centra tie 1002 --order --unit IT-000145 --by anna --why "ordered by phone"',
)
def tie(
    name: Annotated[
        str,
        typer.Argument(
            help="Payment entry id; with --order an order number; with --return a Return's id; with --line a shipment line's; "
            "with --release or --money a unit."
        ),
    ],
    unit: Annotated[list[str] | None, typer.Option(help="Unit that it was for, or UNIT=12.50 for its part.")] = None,
    unrelated: Annotated[bool, typer.Option("--unrelated", help="It was for no return.")] = False,
    order: Annotated[bool, typer.Option("--order", help="It is a replacement order made by hand.")] = False,
    a_return: Annotated[bool, typer.Option("--return", help="It is a Return made by hand in Centra.")] = False,
    line: Annotated[bool, typer.Option("--line", help="It is the shipment line that the units belong to.")] = False,
    release: Annotated[
        bool, typer.Option("--release", help="No replacement was sent for the unit: let hr-centra order it.")
    ] = False,
    money: Annotated[
        bool, typer.Option("--money", help="Money refunded by hand replaces the unit's replacement.")
    ] = False,
    by: _By = None,
    why: _Why = None,
) -> None:
    """Record which units a refund, a Return or a replacement order made by hand was for, or which line a unit belongs to."""
    from hr_centra_pipeline.cli import decisions
    from hr_centra_pipeline.decisions.decision_kinds import TieForm

    flags: dict[TieForm, bool] = {
        "order": order, "return": a_return, "line": line, "release": release, "money": money,
    }  # fmt: skip
    chosen = [kind for kind, is_given in flags.items() if is_given]
    if len(chosen) > 1:
        raise ConfigurationError("Give one of --order, --return, --line, --release and --money.")
    decisions.tie(name, unit or [], kind=chosen[0] if chosen else "refund", unrelated=unrelated, by=by, why=why)


@_command(DECIDE, 'hr-centra reorder IT-000145 --by anna --why "the shopper still wants it"')
def reorder(
    unit: Annotated[str, typer.Argument(metavar="RETURN_ITEM", help="Unit whose replacement was canceled in Centra.")],
    by: _By = None,
    why: _Why = None,
) -> None:
    """Order a replacement again that was canceled in Centra, once.

    Anyone except the person who ran the plan or last changed the policy can do this.
    """
    from hr_centra_pipeline.cli import decisions

    decisions.reorder(unit, by, why)


@_command(DECIDE, 'hr-centra pay-instead IT-000145 --by anna --why "the shopper wants the money"', name="pay-instead")
def pay_instead(
    unit: Annotated[str, typer.Argument(metavar="RETURN_ITEM", help="Unit whose replacement was canceled in Centra.")],
    by: _By = None,
    why: _Why = None,
) -> None:
    """Refund the Return of an exchange whose replacement was canceled in Centra, once. Not by the person who planned it."""
    from hr_centra_pipeline.cli import decisions

    decisions.pay_instead(unit, by, why)


# ---------------------------------------------------------------- Month end


@_command(MONTH, "hr-centra export --month 2026-09", "hr-centra export --month 2026-09 --as-of 2026-10-05")
def export(
    month: Annotated[str, typer.Option(help="Month to export, like 2026-09.")],
    as_of: Annotated[str | None, typer.Option(help="As it was at the end of this day, like 2026-10-05.")] = None,
) -> None:
    """A month's pack in $HR_CENTRA_HOME/exports/<month>/: workbook, summary page, CSV and Parquet, manifest."""
    from hr_centra_pipeline.cli.month import run_export

    run_export(month, as_of)


@_command(
    MONTH,
    "hr-centra close --month 2026-09 --by anna",
    'hr-centra close --month 2026-09 --by anna --reopen --why "late settlement"',
)
def close(
    month: Annotated[
        str, typer.Option(help="Month to close, like 2026-09; it must have ended, and follow the last closed month.")
    ],
    by: Annotated[str, typer.Option(help="Who closes it; recorded.")],
    accept: Annotated[str | None, typer.Option(help="Why it may be closed although something does not tie.")] = None,
    reopen: Annotated[bool, typer.Option("--reopen", help="Reopen the last closed month.")] = False,
    why: Annotated[str, typer.Option(help="With --reopen: why; recorded.")] = "",
) -> None:
    """Freeze a month with a hash of its content and sources. What comes later is a late item of the next one."""
    from hr_centra_pipeline.cli.month import run_close, run_reopen

    if reopen:
        run_reopen(month, by, why)
    else:
        run_close(month, by, accept)


@_command(MONTH, "hr-centra sign --month 2026-09 --as preparer --by anna")
def sign(
    month: Annotated[str, typer.Option(help="Closed month to sign, like 2026-09.")],
    role: Annotated[Role, typer.Option("--as", help="The preparer signs first; the reviewer must be another person.")],
    by: Annotated[str, typer.Option(help="Who signs; recorded.")],
    comment: Annotated[str | None, typer.Option(help="Recorded with the signature.")] = None,
) -> None:
    """Sign a closed month. A signature covers the hash of the frozen tables."""
    from hr_centra_pipeline.cli.month import run_sign

    run_sign(month, "preparer" if role is Role.preparer else "reviewer", by, comment)


# ---------------------------------------------------------------- Set up


@_command(
    SET_UP,
    "hr-centra init --home /var/lib/hr-centra",
    "hr-centra init --home ./shop --answer refunds=centra --answer approval-above=EUR=500 --yes",
)
def init(
    home: Annotated[Path, typer.Option(help="The folder for everything that hr-centra keeps.")],
    answers: Annotated[
        Path | None, typer.Option(help='A TOML file of answers: name = "answer".', metavar="FILE")
    ] = None,
    answer: Annotated[list[str] | None, typer.Option(help="One answer.", metavar="NAME=ANSWER")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; what is not answered is left open.")] = False,
) -> None:
    """Write a new shop's home: the policy, with every setting explained, and the file of variables. Never overwrites.

    Nothing about money is guessed: what is not answered is a question in the policy, and no sync runs before it is answered.
    """
    from hr_centra_pipeline.cli.init_command import init as write_home

    write_home(home, answers_file=answers, given=answer or [], asks=not yes)


@_command(
    SET_UP, "hr-centra profile returns.csv", "hr-centra profile exports/returns-*.csv --name ours-returns --write"
)
def profile(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Exports of one kind: CSV or JSON lines, packed or not. More rows show more words."
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the profile; its file is named after it.")] = "ours",
    write: Annotated[
        bool, typer.Option("--write", help="Write the draft to profiles/ of the home; without it, only show.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The draft and its first rows, as JSON.")] = False,
) -> None:
    """Draft a header profile from an export: columns by name and content, what its first rows would become, what is open."""
    from hr_centra_pipeline.cli.profile_command import draft_profile

    draft_profile(files, name, is_written=write, as_json=as_json)


@_command(SET_UP, "hr-centra doctor", "hr-centra doctor --offline --json")
def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Do not call Centra.")] = False,
    settings: Annotated[bool, typer.Option("--settings", help="List every setting with its value and source.")] = False,
    contract: Annotated[
        bool, typer.Option("--contract", help="List everything that is relied on in Centra, with what this Centra has.")
    ] = False,
    test_alert: Annotated[bool, typer.Option("--test-alert", help="Send a test alert to every team.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False,
    schema: Annotated[
        Path | None, typer.Option(help="Examine a schema that was saved, in place of Centra's own.", metavar="FILE")
    ] = None,
    write_schema: Annotated[
        Path | None, typer.Option(help="Save Centra's schema, for tests and the sandbox.", metavar="FILE")
    ] = None,
) -> None:
    """Check configuration, credentials, permissions, Centra's schema, warehouses, quotas, clock, disk and database.

    Changes nothing.

    Exit code 0: ready to sync; 1: something is broken; 2: a setting is wrong.
    """
    from hr_centra_pipeline.cli.doctor_command import run_doctor

    code = run_doctor(
        is_offline=offline, as_json=as_json, every_setting=settings, whole_contract=contract,
        test_alert=test_alert, schema=schema, write_schema=write_schema,
    )  # fmt: skip
    raise typer.Exit(code)


@_command(SET_UP, "hr-centra examples", "hr-centra examples --to /etc/hr-centra/examples", name="examples")
def list_examples(
    to: Annotated[Path | None, typer.Option(help="Copy them into this folder.", metavar="FOLDER")] = None,
) -> None:
    """List or copy the example policy and people, profiles, unit files, proxy configurations and manuals."""
    from hr_centra_pipeline.cli.example_files import show_examples

    show_examples(to)


@_command(SET_UP, 'hr-centra rebind --by anna --why "new address of the same Centra"')
def rebind(
    retailer: Annotated[
        str | None, typer.Option(help="Accept returns of this retailer id, too; Centra stays as it is.")
    ] = None,
    by: _By = None,
    why: _Why = None,
) -> None:
    """Bind the database to the Centra in the settings (the same one, at a new address). Everything is read again."""
    from hr_centra_pipeline.cli.backup import rebind_here

    rebind_here(retailer, by, why)


# ---------------------------------------------------------------- Keep safe


@_command(SAFE, "hr-centra backup", "hr-centra backup /mnt/backups")
def backup(
    to: Annotated[Path | None, typer.Argument(help="File or folder; default: backups/ in HR_CENTRA_HOME.")] = None,
) -> None:
    """Copy the database as it is at this moment, also while a sync runs; the copy is complete and verified."""
    from hr_centra_pipeline.cli.backup import take_backup

    take_backup(to)


@_command(SAFE, 'hr-centra restore data/backups/warehouse-2026-09-30.duckdb --by anna --why "disk failure"')
def restore(
    backup: Annotated[Path, typer.Argument(help="File that `hr-centra backup` or an upgrade has made.")],
    by: _By = None,
    why: _Why = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Replace the database with a backup; the old one is kept in backups/. Nothing is sent until Centra has been read again."""
    from hr_centra_pipeline.cli.backup import restore_backup

    restore_backup(backup, by, why, is_sure=yes)


@_command(SAFE, "hr-centra rebuild-ledger", name="rebuild-ledger")
def rebuild_ledger(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """After the database was lost: read both sides again and take over what Centra shows as done. Sends nothing."""
    from hr_centra_pipeline.cli.rebuild_ledger import rebuild

    rebuild(as_json=as_json)


@_command(SAFE, "hr-centra forget anna@example.com --by bo")
def forget(
    who: Annotated[str, typer.Argument(help="E-mail address, return id, express code or order number.")],
    by: Annotated[str, typer.Option("--by", help="Who erases; kept in the record of erasures.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Erase a person's data for good, backups included; amounts, effects and reports stay as they are."""
    from hr_centra_pipeline.cli.forget_command import forget_person

    forget_person(who, by=by, is_sure=yes)


# ---------------------------------------------------------------- Learn


@_command(LEARN, "hr-centra demo", "hr-centra exceptions --demo")
def demo() -> None:
    """A realistic shop on a local sandbox, synced until nothing is pending, ending on one screen."""
    from hr_centra_pipeline.cli.demo import run_demo

    run_demo()


@_command(LEARN, "hr-centra dev", "hr-centra dev --port 3005")
def dev(port: Annotated[int, typer.Option(help="Loopback port of the Dagster UI.", min=1, max=65535)] = 3000) -> None:
    """The Dagster UI on the demo's sandbox, with its daemon; loopback only."""
    from hr_centra_pipeline.cli.dev import run_dev

    run_dev(port)


def _sandbox() -> typer.Typer:
    from hr_centra_pipeline.cli.sandbox import app as sandbox_app

    return sandbox_app


def _people() -> typer.Typer:
    from hr_centra_pipeline.cli.people_commands import app as people

    return people


def _inbox() -> typer.Typer:
    from hr_centra_pipeline.cli.inbox_commands import app as inbox_app

    return inbox_app


def _decisions() -> typer.Typer:
    from hr_centra_pipeline.cli.decision_commands import app as decisions_app

    return decisions_app


def _train() -> typer.Typer:
    from hr_centra_pipeline.cli.train import app as train_app

    return train_app


app.add_typer(_decisions(), name="decisions", rich_help_panel=DECIDE)
app.add_typer(_inbox(), name="inbox", rich_help_panel=RUN)
app.add_typer(_train(), name="train", rich_help_panel=LEARN)
app.add_typer(_people(), name="people", rich_help_panel=SET_UP)
app.add_typer(_sandbox(), name="sandbox", rich_help_panel=LEARN)


def main() -> None:
    """Run the command; our own errors are one message and an exit code."""
    try:
        app()
    except (ConfigurationError, RunFailed) as error:
        echo(trouble_commands.of_opening(error) or str(error), err=True)
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)
    except Exception as error:
        line = trouble_commands.told(error)
        if line is None:
            raise
        echo(line, err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
