"""Who looks at a page: known by their login, with what they may do."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import Request

from hr_centra_pipeline.pages.people_file import RIGHTS, Person, Right, Way, user_id


@dataclass(frozen=True)
class Visitor:
    """Somebody who is logged in. ``session``: what their forms are tied to; never shown."""

    id: str
    name: str
    login: Way
    teams: tuple[str, ...] = ()
    rights: frozenset[Right] = frozenset()
    session: str = field(default="", repr=False)

    def may(self, right: Right) -> bool:
        """Whether they have this right. Looking, notes and assigning need none."""
        return right in self.rights


def visitor_of(given: str, person: Person | None, login: Way, session: str) -> Visitor:
    """A visitor by their id; somebody whom the proxy lets in and ``people.toml`` does not list may look, note and assign."""
    person = person or Person()
    return Visitor(
        user_id(given), person.name or given.strip(), login, tuple(person.teams), frozenset(person.may), session
    )


def owner_of_machine(name: str, session: str) -> Visitor:
    """Who has the link on the terminal: the user who started the site, with every right."""
    return Visitor(user_id(name), name, "link", (), frozenset(RIGHTS), session)


def visitor(request: Request) -> Visitor:
    """Who has made this request. A route that is reached by somebody without a login does not exist."""
    found: Visitor = request.state.visitor
    return found
