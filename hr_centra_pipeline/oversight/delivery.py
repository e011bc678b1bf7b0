"""How an alert leaves: to a Slack-compatible webhook, and by e-mail. Nothing is swallowed: who cannot deliver, fails."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from typing import Protocol
from urllib.parse import unquote, urlsplit

import requests
from pydantic import SecretStr

from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.core.settings import Settings

_TIMEOUT = 15.0  # seconds
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class Channel(Protocol):
    """One channel. ``name`` distinguishes it from the others, without a secret."""

    name: str

    def send(self, title: str, text: str) -> None:
        """Deliver, or raise ``RunFailed``."""


class Webhook:
    """An incoming webhook that understands Slack's ``{"text": …}``."""

    def __init__(self, url: SecretStr) -> None:
        self._url = url
        self._refuse_unclear(url)
        self.name = f"webhook {urlsplit(url.get_secret_value()).hostname or '?'}"

    @staticmethod
    def _refuse_unclear(url: SecretStr) -> None:
        if (problem := addresses.problem(url.get_secret_value())) is not None:
            raise ConfigurationError(f"HR_CENTRA_ALERT_WEBHOOK: {problem}")

    def send(self, title: str, text: str) -> None:
        """Post it.

        Raises:
            RunFailed: it was not taken. The address is a secret, and is not in the message.
        """
        body = {"text": f"*{title.translate(_ESCAPES)}*\n{text.translate(_ESCAPES)}"}
        try:
            answer = requests.post(self._url.get_secret_value(), json=body, timeout=_TIMEOUT, allow_redirects=False)
        except requests.RequestException as error:
            raise RunFailed(f"Alert not delivered to {self.name}: {type(error).__name__}.") from None
        if answer.status_code != requests.codes.ok:
            raise RunFailed(f"Alert not delivered to {self.name}: it answered {answer.status_code}.")


class Mail:
    """A mail server, from ``smtp://``, ``smtp+starttls://`` or ``smtps://user:password@host:port``."""

    def __init__(self, url: SecretStr, sender: str, recipients: Sequence[str]) -> None:
        if (problem := addresses.problem(url.get_secret_value())) is not None:
            raise ConfigurationError(f"HR_CENTRA_SMTP_URL: {problem}")
        self._parts = urlsplit(url.get_secret_value())
        if self._parts.scheme not in _PORTS or not self._parts.hostname:
            raise ConfigurationError(
                "HR_CENTRA_SMTP_URL: write smtp://host, smtp+starttls://user:password@host or smtps://user:password@host."
            )
        self._sender, self._recipients = sender, list(recipients)
        self.name = f"mail to {', '.join(recipients)}"

    def send(self, title: str, text: str) -> None:
        """Send it.

        Raises:
            RunFailed: the server did not take it.
        """
        message = EmailMessage()
        # A line end in a header, or half a character, is refused by the mail library: the alert would never leave.
        title, text = (one.encode("utf-8", "replace").decode() for one in (" ".join(title.split()), text))
        message["Subject"] = f"[hr-centra] {title}"
        message["From"], message["To"] = self._sender, ", ".join(self._recipients)
        message.set_content(text)
        try:
            with self._connected() as server:
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            raise RunFailed(f"Alert not delivered by {self.name}: {type(error).__name__}.") from None

    def _connected(self) -> smtplib.SMTP:
        scheme, host = self._parts.scheme, self._parts.hostname or ""
        port = self._parts.port or _PORTS[scheme]
        if scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=_TIMEOUT, context=ssl.create_default_context())
        else:
            server = smtplib.SMTP(host, port, timeout=_TIMEOUT)
        try:
            if scheme == "smtp+starttls":
                server.starttls(context=ssl.create_default_context())
            if self._parts.username:
                server.login(unquote(self._parts.username), unquote(self._parts.password or ""))
        except BaseException:
            server.close()
            raise
        return server


def channels(settings: Settings, policy: Policy, team: str) -> list[Channel]:
    """Where alerts of a team go; empty when nobody said.

    Raises:
        ConfigurationError: the mail server's address is none.
    """
    found: list[Channel] = []
    hooks: Mapping[str, SecretStr] = settings.alert_webhooks
    if hook := hooks.get(team) or hooks.get(""):
        found.append(Webhook(hook))
    recipients = policy.alerts.email.get(team, []) if team in policy.alerts.email else []
    if recipients and settings.smtp_url.get_secret_value():
        found.append(Mail(settings.smtp_url, policy.alerts.email_from, recipients))
    return found


def beat(settings: Settings) -> None:
    """Ping the external dead man's switch, when there is one: hr-centra runs and publishes.

    Raises:
        RunFailed: it could not be reported.
    """
    url = settings.heartbeat_url.get_secret_value()
    if not url:
        return
    try:
        requests.get(url, timeout=_TIMEOUT).raise_for_status()
    except requests.RequestException as error:
        raise RunFailed(f"HR_CENTRA_HEARTBEAT_URL: not pinged ({type(error).__name__}).") from None
