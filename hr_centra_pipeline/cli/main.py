"""``hr-centra``: the command line. Exit codes: 0 done, 1 the run failed, 2 wrong configuration or usage."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Joins Happy Returns to Centra: reads both, plans and sends effects, says which returns are in trouble.",
)


# Each command imports what it needs: `--help` and `plan` must not wait for Dagster or a web server.
@app.command()
def sync() -> None:
    """The hourly job once: read, plan, send (in live mode), reconcile, publish."""
    from hr_centra_pipeline.cli.sync import sync_once

    sync_once()


@app.command()
def backfill(
    from_: Annotated[str, typer.Option("--from", help="First day, like 2026-01-01 (UTC).")],
    to: Annotated[str, typer.Option("--to", help="Last day, like 2026-03-31 (UTC).")],
    again: Annotated[bool, typer.Option("--again", help="Read days again that an earlier backfill has read.")] = False,
) -> None:
    """Read past days from both sides and plan; sends nothing. Goes on where it was stopped; the hourly sync gets in between."""
    from hr_centra_pipeline.cli.backfill import run_backfill

    run_backfill(from_, to, again=again)


@app.command()
def plan(
    every: Annotated[bool, typer.Option("--all", help="List every packet.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Every call with its variables, as JSON.")] = False,
) -> None:
    """What a live run would send, call by call, and what it would leave and why. Sends nothing."""
    from hr_centra_pipeline.cli.plan import show_plan

    show_plan(every=every, as_json=as_json)


@app.command()
def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask Centra anything.")] = False,
    settings: Annotated[bool, typer.Option("--settings", help="List every setting with its value and source.")] = False,
    test_alert: Annotated[bool, typer.Option("--test-alert", help="Send a test alert to every team.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False,
) -> None:
    """Check configuration, credentials, permissions, warehouses, quotas, clock, disk and database. Changes nothing.

    Exit code 0: nothing stands in the way; 1: something is broken; 2: a setting is wrong.
    """
    from hr_centra_pipeline.cli.doctor import run_doctor

    raise typer.Exit(run_doctor(is_offline=offline, as_json=as_json, every_setting=settings, test_alert=test_alert))


@app.command()
def export(month: Annotated[str, typer.Option(help="Month to export, like 2026-09.")]) -> None:
    """The reconciliation tables of a month as CSV in $HR_CENTRA_HOME/exports/<month>/."""
    from hr_centra_pipeline.cli.export import export_month_now

    export_month_now(month)


@app.command()
def forget(
    who: Annotated[str, typer.Argument(help="E-mail address, return id, express code or order number.")],
    by: Annotated[str, typer.Option("--by", help="Who erases; stays in the record of erasures.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a person's data for good, backups included; amounts, effects and reports stay as they are."""
    from hr_centra_pipeline.cli.forget import forget_person

    forget_person(who, by=by, is_sure=yes)


@app.command()
def demo() -> None:
    """A believable shop on a local sandbox, synced until nothing is pending, ending on one screen."""
    from hr_centra_pipeline.cli.demo import run_demo

    run_demo()


@app.command()
def dev(port: Annotated[int, typer.Option(help="Loopback port of the Dagster UI.")] = 3000) -> None:
    """The Dagster UI on the demo's sandbox, with its daemon; loopback only."""
    from hr_centra_pipeline.cli.dev import run_dev

    run_dev(port)


def _sandbox() -> typer.Typer:
    from hr_centra_pipeline.cli.sandbox import app as sandbox_app

    return sandbox_app


app.add_typer(_sandbox(), name="sandbox")


def main() -> None:
    """Run the command; our own errors are one message and an exit code."""
    try:
        app()
    except (ConfigurationError, RunFailed) as error:
        typer.echo(str(error), err=True)
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)


if __name__ == "__main__":
    main()
