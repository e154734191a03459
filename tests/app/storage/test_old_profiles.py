"""Open the profiles that earlier versions wrote: nothing of them may be lost, and a copy from before stays."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from app.settings import Settings
from app.storage.database import open_database
from app.storage.messages import INTERRUPTED, UNRATED, Messages
from app.storage.migrations import MIGRATIONS
from app.training.run_queue import read_runs
from tests.helpers.profiles import PROFILES, read_profile, unpack_profile

VERSIONS = range(1, len(MIGRATIONS) + 1)
EARLIER = VERSIONS[:-1]


def expected_of(version: int) -> dict:
    """Give what the version's own code read in the profile that it wrote."""
    return json.loads((PROFILES / f"v{version}" / "expected.json").read_text("utf-8"))


def assert_holds(found: object, expected: object, place: str = "profile") -> None:
    """Check that everything of `expected` is in `found`, which may have fields of its own."""
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        for name, value in expected.items():
            assert name in found, f"{place}.{name}"
            assert_holds(found[name], value, f"{place}.{name}")
    elif isinstance(expected, list):
        assert isinstance(found, list)
        assert len(found) == len(expected), place
        for number, value in enumerate(expected):
            assert_holds(found[number], value, f"{place}[{number}]")
    else:
        assert found == expected, place


def test_there_is_a_profile_of_every_version() -> None:
    assert sorted(path.name for path in PROFILES.glob("v*")) == [f"v{version}" for version in VERSIONS]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_stored_profile_is_of_that_version(version: int, tmp_path: Path) -> None:
    profile = unpack_profile(f"v{version}", tmp_path)
    connection = sqlite3.connect(profile / "phidelity.db")
    assert connection.execute("PRAGMA user_version").fetchone()[0] == version
    assert connection.execute("SELECT count(*) FROM messages").fetchone()[0] >= 18
    connection.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_of_an_old_profile_is_lost(version: int, tmp_path: Path) -> None:
    profile = unpack_profile(f"v{version}", tmp_path)
    found = json.loads(json.dumps(read_profile(profile)))
    assert_holds(found, expected_of(version))
    assert found["notices"] == [None, None]
    # Once updated it is opened again without more ado.
    assert json.loads(json.dumps(read_profile(profile))) == found


def test_what_an_old_version_did_not_know_has_its_default(tmp_path: Path) -> None:
    found = read_profile(unpack_profile("v1", tmp_path))
    messages = [message for chat in found["chats"]["list"] for message in chat["messages"]]
    assert len(messages) > 15
    assert {message["rating"] for message in messages} == {UNRATED}
    assert all(message["made_with"] == {} and message["pictures"] == [] for message in messages)
    assert all(chat["votes"] == [] and chat["draft pictures"] == [] for chat in found["chats"]["list"])
    assert found["settings"]["picture_detail"] == Settings(tmp_path / "none.json").values.picture_detail


@pytest.mark.parametrize("version", EARLIER)
def test_a_readable_copy_from_before_is_left_beside_it(version: int, tmp_path: Path) -> None:
    profile = unpack_profile(f"v{version}", tmp_path)
    open_database(profile / "phidelity.db").close()
    copies = list(profile.glob("*.backup*"))
    assert [copy.name for copy in copies] == [f"phidelity.db.v{version}.backup"]
    connection = sqlite3.connect(f"{copies[0].as_uri()}?mode=ro&immutable=1", uri=True)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == version
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    connection.close()
    # In the place of the database the copy is a profile like any other.
    restored = tmp_path / "restored"
    shutil.copytree(profile, restored, ignore=shutil.ignore_patterns("phidelity.db*"))
    shutil.copy(copies[0], restored / "phidelity.db")
    assert_holds(json.loads(json.dumps(read_profile(restored))), expected_of(version))


def test_a_profile_of_this_version_is_not_copied(tmp_path: Path) -> None:
    profile = unpack_profile(f"v{VERSIONS[-1]}", tmp_path)
    open_database(profile / "phidelity.db").close()
    assert not list(profile.glob("*.backup*"))


def test_an_answer_that_an_old_window_left_unfinished_keeps_its_pieces(tmp_path: Path) -> None:
    profile = unpack_profile("v2", tmp_path)
    # The old window was killed: its log was not folded in.
    assert (profile / "phidelity.db-wal").stat().st_size > 100_000
    database = open_database(profile / "phidelity.db")
    messages = Messages(database)
    assert messages.recover_interrupted() == 1
    (chat,) = database.rows("SELECT id FROM conversations WHERE title = 'Interrupted'")[0]
    answer = messages.path(chat)[-1]
    assert answer.text == "One, two, thr"
    assert answer.stats is not None and answer.stats.finish_reason == INTERRUPTED
    database.close()


@pytest.mark.parametrize("version", [2, 3])
def test_training_runs_of_an_old_profile_are_taken_up(version: int, tmp_path: Path) -> None:
    profile = unpack_profile(f"v{version}", tmp_path)
    ((run, handle),) = read_runs(profile / "runs")
    assert handle is None
    assert (run.state, run.note.title, run.note.kept) == ("done", "Pirate", 6)
    assert len(run.losses) == 2 and run.answers
    adapter = run.result_path("adapter")
    assert adapter is not None
    assert adapter.read_bytes() == (profile / "models" / "Pirate.lora.gguf").read_bytes()


def test_adapters_of_an_old_profile_are_found(tmp_path: Path) -> None:
    from engine.library.adapters import scan_adapters

    profile = unpack_profile("v2", tmp_path)
    assert [card.path.name for card in scan_adapters([profile / "models"])] == ["Pirate.lora.gguf"]
