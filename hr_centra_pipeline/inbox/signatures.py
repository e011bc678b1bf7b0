"""Whether a delivery is from who it says it is from: an HMAC over the raw body, compared in constant time.

Happy Returns documents the header but neither algorithm nor encoding, so those are settings: the table ``[signature]`` of an event
profile. Centra documents all of it: ``X-Centra-Signature: t=<unix>,v1=<hex>``, HMAC-SHA-256 over ``<t>.<raw body>``.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.setting_files import mistakes_in, parsed_toml, read_setting_file
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.inbox.inbox_store import VERIFIED, VERIFIED_OLD

NO_SIGNATURE = "no_signature"
MALFORMED_SIGNATURE = "malformed_signature"
WRONG_SIGNATURE = "wrong_signature"
STALE = "stale"
"""The signature is right, but its time is too far from ours: sent again by others, or a clock is wrong."""

WINDOW_SECONDS = 300
"""How far the time in Centra's signature may be from ours."""

EVENT_PROFILES = "event_profiles"
"""The folder of a shop's own event profiles, in its home."""

_LONGEST = 1_000  # characters of a signature header
_TIME = re.compile(r"[0-9]{1,12}")


class Signature(BaseModel):
    """How Happy Returns signs: the table ``[signature]`` of an event profile."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Documented: the header. The rest is inferred from a sample of 64 hexadecimal digits.
    header: str = Field(default="X-Hr-Signature", pattern=r"^[A-Za-z0-9-]{1,64}$")
    algorithm: Literal["sha1", "sha256", "sha384", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = "sha256="  # accepted before the signature, not required

    @field_validator("prefix")
    @classmethod
    def _is_visible(cls, prefix: str) -> str:
        if not prefix.isprintable() or len(prefix) > 32:
            raise ValueError('must be a text like "sha256=", of at most 32 characters')
        return prefix


class Verifier(Protocol):
    """What one vendor's deliveries are checked with."""

    @property
    def header(self) -> str:
        """The header that holds the signature."""

    @property
    def described(self) -> str:
        """What it looks for, in a few words."""

    def verdict(self, headers: Mapping[str, str], body: bytes, *, at: datetime | None = None) -> str:
        """``verified``, ``verified_old_secret``, or why it did not verify.

        ``headers``: with lower-case names. ``at``: when it came; ``None``: its age does not matter (a person verifies it again).
        """


@dataclass(frozen=True)
class HappyReturnsVerifier:
    """HMAC of the raw body. The header has no time: a delivery that is sent again verifies again, and landing says so."""

    secrets: Sequence[SecretStr]
    signature: Signature

    @property
    def header(self) -> str:
        """The header that holds the signature."""
        return self.signature.header

    @property
    def described(self) -> str:
        """Algorithm, encoding and header in use."""
        return f"HMAC-{self.signature.algorithm.upper()} of the body, in {self.signature.encoding}, in the header {self.header}"

    def verdict(self, headers: Mapping[str, str], body: bytes, *, at: datetime | None = None) -> str:
        """``verified``, ``verified_old_secret``, or why it did not verify."""
        text = headers.get(self.header.lower(), "").strip()
        if not text:
            return NO_SIGNATURE
        given = _decoded(text.removeprefix(self.signature.prefix), self.signature.encoding)
        if given is None:
            return MALFORMED_SIGNATURE
        return _compared(self.secrets, body, [given], self.signature.algorithm)


@dataclass(frozen=True)
class CentraVerifier:
    """HMAC over the time and the raw body, which is still url-encoded; the time must be near ours."""

    secrets: Sequence[SecretStr]
    window_seconds: int = WINDOW_SECONDS

    @property
    def header(self) -> str:
        """The header that holds the signature."""
        return "X-Centra-Signature"

    @property
    def described(self) -> str:
        """As Centra documents it."""
        return f"HMAC-SHA256 of time and body, in hex, in the header {self.header}"

    def verdict(self, headers: Mapping[str, str], body: bytes, *, at: datetime | None = None) -> str:
        """``verified``, ``verified_old_secret``, or why it did not verify."""
        text = headers.get(self.header.lower(), "").strip()
        if not text:
            return NO_SIGNATURE
        parts = [part.strip().partition("=") for part in text[:_LONGEST].split(",")]
        times = [value for name, _, value in parts if name == "t"]
        given = [one for name, _, value in parts if name == "v1" and (one := _decoded(value, "hex")) is not None]
        if len(times) != 1 or not _TIME.fullmatch(times[0]) or not given:
            return MALFORMED_SIGNATURE
        verdict = _compared(self.secrets, times[0].encode() + b"." + body, given, "sha256")
        is_known = verdict in (VERIFIED, VERIFIED_OLD)
        if is_known and at is not None and not self._is_near(int(times[0]), at):
            return STALE
        return verdict

    def _is_near(self, signed_at: int, at: datetime) -> bool:
        # Where HR_CENTRA_NOW sets our clock back, Centra's may be the real one.
        return any(abs(one.timestamp() - signed_at) <= self.window_seconds for one in (at, datetime.now(UTC)))


def verifiers(settings: Settings) -> dict[str, Verifier]:
    """Those of the vendors whose secret is set.

    Raises:
        ConfigurationError: the event profile cannot be read, there are two, or it describes no signature that we can check.
    """
    found: dict[str, Verifier] = {}
    if settings.happy_returns_secrets:
        found["happy_returns"] = HappyReturnsVerifier(settings.happy_returns_secrets, load_signature(settings.home))
    if settings.centra_secrets:
        found["centra"] = CentraVerifier(settings.centra_secrets)
    return found


def load_signature(home: Path) -> Signature:
    """The table ``[signature]`` of the home's event profile; what it leaves out is as ``Signature`` has it.

    Raises:
        ConfigurationError: the profile cannot be read, there are two, or it describes no signature that we can check.
    """
    own = own_event_profile(home / EVENT_PROFILES)
    if own is None:
        return Signature()
    try:
        return Signature.model_validate(own.content.get("signature", {}))
    except ValidationError as error:
        lines = [f"{own.path}: {'.'.join(map(str, ('signature', *at)))}: {what}" for at, what in mistakes_in(error)]
        raise ConfigurationError("\n".join(lines)) from None


@dataclass(frozen=True)
class OwnProfile:
    """What the event profile of a home says otherwise than the shipped one."""

    path: Path
    content: Mapping[str, Any]


def own_event_profile(folder: Path) -> OwnProfile | None:
    """The one file of ``$HR_CENTRA_HOME/event_profiles``, for receiving and for landing; ``None``: there is none.

    Raises:
        ConfigurationError: it cannot be read, or there are two.
    """
    found = sorted(folder.glob("*.toml")) if folder.is_dir() else []
    if len(found) > 1:
        raise ConfigurationError(
            f"{folder}: {', '.join(path.name for path in found)}: there is one event profile; move the others out of the folder."
        )
    for path in found:
        try:
            text = read_setting_file(path).decode("utf-8-sig")  # editors on Windows begin with a byte order mark
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot read this event profile ({error.strerror}).") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{path}: is not UTF-8; save it again in that encoding.") from None
        return OwnProfile(path, parsed_toml(text, str(path)))
    return None


def _decoded(text: str, encoding: Literal["hex", "base64"]) -> bytes | None:
    if len(text) > _LONGEST or not text.isascii():
        return None
    try:
        return bytes.fromhex(text) if encoding == "hex" else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None


def _compared(secrets: Sequence[SecretStr], signed: bytes, given: Sequence[bytes], algorithm: str) -> str:
    """All are compared, so that the time does not say which secret it was."""
    verdict = WRONG_SIGNATURE
    for place, secret in enumerate(secrets):
        expected = hmac.digest(secret.get_secret_value().encode(), signed, algorithm)
        for one in given:
            if hmac.compare_digest(expected, one) and verdict == WRONG_SIGNATURE:
                verdict = VERIFIED if place == 0 else VERIFIED_OLD
    return verdict
