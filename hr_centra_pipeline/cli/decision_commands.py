"""``hr-centra decisions``: what people decided and what came of it; and to carry it out without a sync."""

from __future__ import annotations

from typing import Annotated

import typer

from hr_centra_pipeline.cli.command_groups import examples

app = typer.Typer(
    invoke_without_command=True, help="What people decided, on the pages and on the command line, and what came of it."
)


@app.callback()
def list_decisions(
    context: typer.Context,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that wait to be carried out.")] = False,
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1, max=1000)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """What people decided, on the pages and on the command line, and what came of it; the newest first."""
    if context.invoked_subcommand is None:
        from hr_centra_pipeline.cli import decisions

        decisions.show_decisions(only_waiting=waiting, limit=limit, as_json=as_json)


@app.command(name="carry-out", epilog=examples("hr-centra decisions carry-out"))
def carry_out() -> None:
    """Carry out what waits now, without a sync: for shops that run no daemon."""
    from hr_centra_pipeline.cli import decisions

    decisions.carry_out_now()
