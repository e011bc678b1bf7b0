"""The site over ASGI, and somebody who is logged in."""

from __future__ import annotations

import warnings
from pathlib import Path

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions.decision_kinds import AddDocument, Assign, WriteNote
from hr_centra_pipeline.decisions.decision_store import Decision, DecisionStore, Who
from hr_centra_pipeline.pages.app import application
from hr_centra_pipeline.pages.login import opened_login
from hr_centra_pipeline.publishing.page_tables import PAGES_DATABASE
from hr_centra_pipeline_tests.pages.page_fixture import fill

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient as TestClient

ADDRESS = "http://127.0.0.1:3080"
MIA = Who("mia@example.com", "Mia", "password")


def logged_in(home: Path) -> TestClient:
    """A browser of the person who has the link on the terminal; it follows no redirects."""
    settings = Settings.from_environment({"HR_CENTRA_HOME": str(home)})
    links: list[str] = []
    login = opened_login(settings, told=links.append)
    client = TestClient(application(settings, login, ADDRESS), base_url=ADDRESS, follow_redirects=False)
    login.new_link(ADDRESS)
    assert client.get(links[-1]).status_code == 303
    return client


def home_of(folder: Path, *, returns: int, exceptions: int) -> Path:
    """A home with a publication of so much."""
    (folder / "published").mkdir(parents=True)
    fill(folder / "published" / PAGES_DATABASE, returns=returns, exceptions=exceptions)
    return folder


def assign(home: Path, exception_id: str, person: str) -> None:
    """Somebody gets an exception."""
    DecisionStore(home / "decisions.sqlite").keep(
        Decision(f"assign {exception_id} {person}", MIA, Assign(exception_id=exception_id, person=person))
    )


def note(home: Path, exception_id: str, text: str) -> None:
    """A note that the pipeline has not taken over yet."""
    DecisionStore(home / "decisions.sqlite").keep(
        Decision(f"note {exception_id}", MIA, WriteNote(exception_id=exception_id, note=text, decision="chase"))
    )


def document(home: Path, exception_id: str, name: str) -> None:
    """A supporting document whose file has this name, and whose title is the same."""
    given = AddDocument(
        file_name=name[:200],
        title=name[:200],
        exception_id=exception_id,
        media_type="text/plain",
        sha256="0" * 64,
        bytes=1,
    )
    DecisionStore(home / "decisions.sqlite").keep(Decision(f"document {exception_id}", MIA, given))
