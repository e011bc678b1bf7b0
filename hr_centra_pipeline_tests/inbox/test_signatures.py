from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.inbox.signatures import (
    CentraVerifier,
    HappyReturnsVerifier,
    Signature,
    load_signature,
    verifiers,
)
from hr_centra_pipeline.sources.happy_returns.event_reading import load_event_profile

BODY = b'{"event": "return_label_update"}'
SECRETS = (SecretStr("new"), SecretStr("old"))


def test_centras_documented_vector_verifies() -> None:
    """Secret `test123`, the body still url-encoded; it was signed in 1970."""
    body = b"payload=%7B%22x%22%3A%22test%22%7D"
    given = "t=12345678,v1=0b9cd84f5d583e5e1aadfb9f160aa8080b51d5b85ff85808d6b75bdac356c549"
    verifier = CentraVerifier((SecretStr("test123"),))
    then = datetime.fromtimestamp(12345678, UTC)
    assert verifier.verdict({"x-centra-signature": given}, body, at=then) == "verified"
    assert verifier.verdict({"x-centra-signature": given}, body, at=then + timedelta(seconds=300)) == "verified"
    assert verifier.verdict({"x-centra-signature": given}, body, at=then + timedelta(seconds=301)) == "stale"
    assert verifier.verdict({"x-centra-signature": given}, body, at=then - timedelta(seconds=301)) == "stale"
    assert verifier.verdict({"x-centra-signature": given}, body + b"x", at=then) == "wrong_signature"
    assert verifier.verdict({"x-centra-signature": given}, body) == "verified"  # a person verifies it again


def test_a_wrong_signature_is_not_called_stale_however_old_its_time_is() -> None:
    verifier = CentraVerifier((SecretStr("test123"),))
    given = f"t=1,v1={'0' * 64}"
    assert verifier.verdict({"x-centra-signature": given}, b"", at=datetime.now(UTC)) == "wrong_signature"


def test_one_of_several_v1_signatures_suffices() -> None:
    given = f"t=1,v1={'0' * 64},v1={hmac.digest(b'old', b'1.' + BODY, 'sha256').hex()}"
    assert CentraVerifier(SECRETS).verdict({"x-centra-signature": given}, BODY) == "verified_old_secret"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_happy_returns_signature_is_as_its_profile_describes(algorithm: str, encoding: str) -> None:
    signature = Signature.model_validate(
        {"header": "X-Signature", "algorithm": algorithm, "encoding": encoding, "prefix": "v0="}
    )
    verifier = HappyReturnsVerifier(SECRETS, signature)
    digest = hmac.digest(b"new", BODY, algorithm)
    text = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    assert verifier.verdict({"x-signature": f"v0={text}"}, BODY) == "verified"
    assert verifier.verdict({"x-signature": text}, BODY) == "verified"
    assert verifier.verdict({"x-signature": text}, BODY + b" ") == "wrong_signature"
    assert verifier.verdict({"x-hr-signature": text}, BODY) == "no_signature"


def test_hexadecimal_is_read_in_either_case_and_with_the_usual_prefix() -> None:
    verifier = HappyReturnsVerifier(SECRETS, Signature())
    digest = hmac.digest(b"old", BODY, "sha256").hex()
    for text in (digest, digest.upper(), f"sha256={digest}", f" {digest} "):
        assert verifier.verdict({"x-hr-signature": text}, BODY) == "verified_old_secret"


FOLDERS: dict[str, tuple[dict[str, str], str]] = {
    "no profile": ({}, ""),
    "a profile without the table": ({"plain.toml": 'name = "plain"\n'}, ""),
    "a profile with the table": ({"shop.toml": '[signature]\nalgorithm = "sha512"\nprefix = ""\n'}, ""),
    "a part of the table": ({"shop.toml": '[signature]\nencoding = "base64"\n'}, ""),
    "two profiles that agree": ({"a.toml": 'name = "a"\n', "b.toml": 'name = "b"\n'}, "a.toml, b.toml: there is one event profile"),
    "an unknown algorithm": ({"shop.toml": '[signature]\nalgorithm = "md5"\n'}, "shop.toml: signature.algorithm: "),
    "no table": ({"shop.toml": "signature = 1\n"}, "shop.toml: signature: must be a table"),
    "no TOML": ({"shop.toml": "[signature"}, "shop.toml: not valid TOML"),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDERS)
def test_receiver_and_landing_read_one_folder_by_one_rule(tmp_path: Path, case: str) -> None:
    files, problem = FOLDERS[case]
    folder = tmp_path / "event_profiles"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    if not problem:
        assert load_signature(tmp_path) == load_event_profile(folder).signature
        return
    said = []
    for read in (lambda: load_signature(tmp_path), lambda: load_event_profile(folder)):
        with pytest.raises(ConfigurationError) as refused:
            read()
        said.append(str(refused.value))
    assert said[0] == said[1]
    assert problem in said[0]


def test_a_profile_changes_what_it_names_and_no_more(tmp_path: Path) -> None:
    assert load_signature(tmp_path) == Signature()
    (tmp_path / "event_profiles").mkdir()
    (tmp_path / "event_profiles" / "shop.toml").write_text('[signature]\nalgorithm = "sha512"\n', encoding="utf-8")
    assert load_signature(tmp_path) == Signature(algorithm="sha512")


def test_only_vendors_whose_secret_is_set_are_verified(tmp_path: Path) -> None:
    home = {"HR_CENTRA_HOME": str(tmp_path)}
    assert verifiers(Settings.from_environment(home)) == {}
    assert set(verifiers(Settings.from_environment({**home, "CENTRA_WEBHOOK_SECRET": "secret"}))) == {"centra"}
