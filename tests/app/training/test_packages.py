"""Check that the page offers what training needs, follows its installation and lets it be removed."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.background import Background
from app.theme import Theme
from app.training.packages import TrainingPackages
from app.training.packages_card import PackagesCard
from app.training.page import TrainingPage
from engine.training_environment.environment import TrainingEnvironment
from tests.helpers.wheels import make_lock, make_wheel

WAIT_MS = 60_000


@dataclass
class Setup:
    """Hold a page with its card, and two tiny packages to install."""

    packages: TrainingPackages
    page: TrainingPage
    environment: TrainingEnvironment
    wheels: Path
    lock: Path
    background: Background

    @property
    def card(self) -> PackagesCard:
        """Return the card."""
        return self.page.packages

    def another(self, *, has_own: bool = False) -> TrainingPackages:
        """Make what the next window would have."""
        return TrainingPackages(self.environment, self.lock, self.background, has_own=has_own)


@pytest.fixture
def setup(qtbot: QtBot, theme: Theme, background: Background, tmp_path: Path) -> Iterator[Setup]:
    wheels = tmp_path / "wheels"
    files = [make_wheel(wheels, name) for name in ("tinytorch", "tinypeft")]
    lock = make_lock(tmp_path / "lock.toml", files, ["tinytorch"])
    environment = TrainingEnvironment(tmp_path / "environment")
    packages = TrainingPackages(environment, lock, background, has_own=False)
    page = TrainingPage(theme)
    qtbot.addWidget(page)
    packages.changed.connect(lambda: page.packages.show_status(packages.status))
    page.show()
    packages.resume()
    yield Setup(packages, page, environment, wheels, lock, background)
    packages.changed.disconnect()  # the page is gone already
    packages.cancel()
    qtbot.waitUntil(lambda: packages.status.doing is None, timeout=WAIT_MS)
    packages.close()


def looked(qtbot: QtBot, packages: TrainingPackages, state: str) -> None:
    qtbot.waitUntil(lambda: packages.status.state == state and packages.status.doing is None, timeout=WAIT_MS)


def test_what_is_needed_is_offered_with_its_size(qtbot: QtBot, setup: Setup) -> None:
    assert not setup.card.isVisible()
    looked(qtbot, setup.packages, "absent")
    assert setup.card.isVisible()
    assert "are downloaded once (1 MB)" in setup.card.text.text()
    assert [setup.card.install.text(), setup.card.wheels.text()] == ["Install…", "Use a folder of wheels…"]
    assert setup.card.install.isVisible() and not setup.card.cancel.isVisible()


def test_a_folder_of_wheels_is_installed_and_removed(qtbot: QtBot, setup: Setup) -> None:
    looked(qtbot, setup.packages, "absent")
    told: list[str] = []
    setup.packages.installed.connect(lambda: told.append("installed"))
    setup.packages.install(setup.wheels)
    assert setup.card.title.text() == "Installing what training needs"
    assert setup.card.cancel.isVisible() and not setup.card.install.isVisible()
    looked(qtbot, setup.packages, "ready")
    assert told == ["installed"]
    assert not setup.card.isVisible()
    assert setup.environment.state(setup.lock) == "ready"
    assert setup.packages.status.are_removable
    setup.packages.remove()
    looked(qtbot, setup.packages, "absent")
    assert not setup.environment.folder.exists()
    assert setup.card.isVisible()


def test_a_failure_is_told_in_place_and_leaves_the_offer(qtbot: QtBot, setup: Setup) -> None:
    looked(qtbot, setup.packages, "absent")
    setup.packages.install()  # the lock's address leads nowhere
    qtbot.waitUntil(lambda: setup.packages.status.failure is not None, timeout=WAIT_MS)
    assert "there is no connection" in setup.card.failure.text()
    assert "folder of wheels" in setup.card.failure.text()
    qtbot.waitUntil(setup.card.install.isVisible, timeout=WAIT_MS)


def test_cancelling_ends_the_installation_without_a_failure(qtbot: QtBot, setup: Setup) -> None:
    looked(qtbot, setup.packages, "absent")
    setup.packages.install(setup.wheels)
    setup.card.cancel_requested.connect(setup.packages.cancel)
    setup.card.cancel.click()
    assert setup.card.doing.text() == "Cancelling…"
    qtbot.waitUntil(lambda: setup.packages.status.doing is None, timeout=WAIT_MS)
    assert setup.packages.status.failure is None


def test_the_next_window_follows_an_installation_that_goes_on(qtbot: QtBot, setup: Setup) -> None:
    looked(qtbot, setup.packages, "absent")
    make_wheel(setup.wheels, "tinytorch", source="import time\ntime.sleep(3)\n")
    make_lock(setup.lock, sorted(setup.wheels.glob("*.whl")), ["tinytorch"])
    setup.packages.install(setup.wheels)
    qtbot.waitUntil((setup.environment.job / "process.json").exists, timeout=WAIT_MS)
    setup.packages.close()
    following = setup.another()
    following.resume()
    assert following.status.doing == "installing"
    looked(qtbot, following, "ready")
    following.close()
    setup.packages._timer.start()


def test_downloads_that_are_there_are_counted_and_gone_on_with(qtbot: QtBot, setup: Setup) -> None:
    setup.environment.wheels.mkdir(parents=True)
    shutil.copy(setup.wheels / "tinypeft-1.0-py3-none-any.whl", setup.environment.wheels)
    setup.packages.resume()
    looked(qtbot, setup.packages, "partial")
    assert "are there already" in setup.card.text.text()
    assert setup.card.install.text() == "Go on…"


def test_packages_of_another_version_are_said_to_be(qtbot: QtBot, setup: Setup) -> None:
    looked(qtbot, setup.packages, "absent")
    setup.packages.install(setup.wheels)
    looked(qtbot, setup.packages, "ready")
    setup.lock.write_text(setup.lock.read_text("utf-8") + "\n", "utf-8")
    setup.packages.resume()
    looked(qtbot, setup.packages, "outdated")
    assert "another version of Phidelity" in setup.card.text.text()
    assert setup.card.isVisible()


def test_where_there_are_no_packages_it_says_so_and_offers_nothing(qtbot: QtBot, setup: Setup) -> None:
    (wheel, _) = sorted(setup.wheels.glob("*.whl"))
    make_lock(setup.lock, [wheel.rename(setup.wheels / "tinypeft-1.0-cp27-cp27m-win32.whl")], [])
    packages = setup.another()
    packages.changed.connect(lambda: setup.card.show_status(packages.status))
    packages.resume()
    qtbot.waitUntil(lambda: packages.status.failure is not None, timeout=WAIT_MS)
    assert "not made for this computer" in setup.card.failure.text()
    assert setup.card.isVisible() and not setup.card.install.isVisible()


def test_a_python_that_has_pytorch_shows_nothing_of_this(setup: Setup) -> None:
    packages = setup.another(has_own=True)
    packages.resume()
    setup.card.show_status(packages.status)
    assert packages.status.state == "own"
    assert not setup.card.isVisible() and not packages.status.are_removable
