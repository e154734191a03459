"""Check when and how programs are signed."""

import subprocess

import pytest

from release.windows.signing import THUMBPRINT, TIMESTAMP, sign, signing_command


def test_without_a_certificate_nothing_is_signed(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.delenv(THUMBPRINT, raising=False)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("nothing is to be run"))
    assert signing_command() == []
    sign([tmp_path / "phidelity.exe"])


def test_the_certificate_and_the_time_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(THUMBPRINT, "0A1B")
    monkeypatch.setenv(TIMESTAMP, "https://time.example")
    words = ["/sha1", "0A1B", "/fd", "sha256", "/tr", "https://time.example", "/td", "sha256"]
    assert signing_command() == ["signtool", "sign", *words]
    monkeypatch.delenv(TIMESTAMP)
    assert signing_command() == ["signtool", "sign", *words[:4]]
