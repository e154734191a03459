"""Check that downloads go on where they ended and are accepted only when they are what was pinned."""

import dataclasses

import pytest
import requests

from engine.errors import EngineError
from engine.training_environment.download import CHUNK_BYTES, fetch
from tests.helpers.wheels import make_wheel, served


def first(packages, address):
    return next(wheel for wheel in packages.selection(address).wheels if wheel.package == "tinytorch")


def test_a_broken_download_goes_on_where_it_ended(packages, tmp_path):
    make_wheel(packages.wheels, "tinytorch", "2.13.0+cpu", "#" * 3 * CHUNK_BYTES)
    with served(packages.wheels) as shop:
        wheel = first(packages, shop.address)
        shop.cuts.append(2 * CHUNK_BYTES + 100)
        told = []
        file = fetch(wheel, tmp_path, told.append)
    assert file.read_bytes() == (packages.wheels / wheel.file_name).read_bytes()
    assert [wanted for _, wanted in shop.asked] == ["bytes=0-", f"bytes={2 * CHUNK_BYTES}-"]
    assert told[-1] == wheel.size_bytes
    assert not list(tmp_path.glob("*.part"))


def test_what_is_there_is_not_downloaded_again(packages, tmp_path):
    with served(packages.wheels) as shop:
        wheel = first(packages, shop.address)
        fetch(wheel, tmp_path, lambda _: None)
        fetch(wheel, tmp_path, lambda _: None)
    assert len(shop.asked) == 1


def test_a_server_without_ranges_sends_everything_again(packages, tmp_path):
    with served(packages.wheels) as shop:
        wheel = first(packages, shop.address)
        shop.takes_ranges = False
        (tmp_path / f"{wheel.file_name}.part").write_bytes(b"other")
        file = fetch(wheel, tmp_path, lambda _: None)
    assert file.read_bytes() == (packages.wheels / wheel.file_name).read_bytes()


def test_another_file_is_refused_and_forgotten(packages, tmp_path):
    with served(packages.wheels) as shop:
        wheel = dataclasses.replace(first(packages, shop.address), sha256="0" * 64)
        with pytest.raises(EngineError, match="not the file that Phidelity expects"):
            fetch(wheel, tmp_path, lambda _: None)
    assert list(tmp_path.glob("*tinytorch*")) == []


def test_a_file_that_is_gone_is_told_with_its_host(packages, tmp_path):
    with served(packages.wheels) as shop:
        wheel = first(packages, shop.address)
        (packages.wheels / wheel.file_name).unlink()
        with pytest.raises(EngineError, match=r"127\.0\.0\.1:\d+ does not give tinytorch \(404\)"):
            fetch(wheel, tmp_path, lambda _: None)


def test_no_connection_is_told_and_keeps_what_was_downloaded(packages, tmp_path):
    wheel = first(packages, "http://127.0.0.1:9")
    part = tmp_path / f"{wheel.file_name}.part"
    part.write_bytes(b"begun")
    with pytest.raises(EngineError, match="there is no connection") as failure:
        fetch(wheel, tmp_path, lambda _: None)
    assert failure.value.code == "download_failed"
    assert part.read_bytes() == b"begun"


def test_a_certificate_that_nobody_knows_is_told_as_such(packages, tmp_path, monkeypatch):
    def refuse(*_arguments, **_options):
        raise requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED")

    monkeypatch.setattr(requests, "get", refuse)
    wheel = first(packages, "https://127.0.0.1:9")
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:9 is not secure") as failure:
        fetch(wheel, tmp_path, lambda _: None)
    assert "CERTIFICATE_VERIFY_FAILED" in failure.value.details
