"""Open the real window on profiles that earlier versions wrote."""

from pathlib import Path

import pytest
from PySide6.QtWidgets import QListView

from app.storage.messages import INTERRUPTED
from tests.app.window.conftest import Opener
from tests.helpers.profiles import unpack_profile


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_chats_pictures_and_settings_are_there(version: str, open_window: Opener, tmp_path: Path) -> None:
    unpack_profile(version, tmp_path).rename(tmp_path / "profile")
    pictures = {path.name for path in (tmp_path / "profile" / "pictures").glob("*")}
    application = open_window(load=False)
    shown = application.chats.findChild(QListView).model()
    titles = {shown.index(row, 0).data() for row in range(shown.rowCount())}
    assert {"Grüße und 数学", "The branch", "Versions"} <= titles
    # What the window sweeps at its start is what nobody refers to.
    assert {path.name for path in (tmp_path / "profile" / "pictures").glob("*")} == pictures
    assert len(pictures) == (0 if version == "v1" else 6)
    assert (application.settings.values.theme, application.settings.values.seed) == ("dark", 7)


def test_an_answer_that_was_interrupted_by_the_end_of_an_old_window_is_closed(
    open_window: Opener, tmp_path: Path
) -> None:
    unpack_profile("v2", tmp_path).rename(tmp_path / "profile")
    application = open_window(load=False)
    (chat,) = (chat for chat in application._conversations.page(100) if chat.title == "Interrupted")
    application.chat.open(chat.id)
    answer = application._messages.path(chat.id)[-1]
    assert (answer.text, answer.streaming) == ("One, two, thr", False)
    assert answer.stats is not None
    assert answer.stats.finish_reason == INTERRUPTED
