"""Use the Models page as a user does, with real imports in real processes."""

import sys
from pathlib import Path

from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QInputDialog, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.library.import_dialog import ImportDialog
from app.library.job_cards import FailureCard, ProgressCard
from app.library.model_list import ModelEntry
from app.widgets.labels import Badge, Label
from converter.convert import ConversionResult
from engine.library.scanner import read_card
from tests.app.library.conftest import WAIT_MS, Library


def texts(widget: QWidget) -> list[str]:
    return [label.text() for label in widget.findChildren(Label) if label.isVisibleTo(widget) and label.text()]


def buttons(widget: QWidget, name: str) -> list[QPushButton]:
    found = widget.findChildren(QPushButton)
    return [button for button in found if name in (button.text(), button.accessibleName()) and button.isVisible()]


def click(qtbot: QtBot, widget: QWidget, name: str) -> None:
    (button,) = buttons(widget, name)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def drop(page: QWidget, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    rest = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(page, QDragEnterEvent(QPoint(50, 500), *rest))
    QApplication.sendEvent(page, QDropEvent(QPointF(50, 500), *rest))


def visible_dialogs() -> list[ImportDialog]:
    return [each for each in QApplication.topLevelWidgets() if isinstance(each, ImportDialog) and each.isVisible()]


def answer_dialog(qtbot: QtBot, choose: str | None = None, name: str | None = None) -> None:
    """Wait for the import dialog, change what is asked for, and press Import."""

    def press() -> None:
        if not visible_dialogs():
            QTimer.singleShot(20, press)
            return
        dialog = visible_dialogs()[0]
        if choose:
            dialog.select(choose)
        if name:
            dialog._name.setText(name)
        click(qtbot, dialog, "Import")

    QTimer.singleShot(0, press)


def imported(library: Library) -> list[ModelEntry]:
    return [entry for entry in library.models.entries if not entry.card.built_in]


def test_a_dropped_checkpoint_becomes_a_model(qtbot: QtBot, library: Library, checkpoint: Path) -> None:
    answer_dialog(qtbot)
    drop(library.page, checkpoint)
    qtbot.waitUntil(lambda: library.queue.jobs != [], timeout=WAIT_MS)
    assert "Importing Phi-tiny" in texts(library.page.jobs)
    assert len(library.page.jobs.findChildren(ProgressCard)) == 1
    qtbot.waitUntil(lambda: imported(library) != [], timeout=WAIT_MS)
    (entry,) = imported(library)
    assert (entry.title, entry.card.quantization) == ("Phi-tiny", "Q4_K_M")
    assert entry.path.parent == library.paths.models
    assert library.notices.said == ["Phi-tiny is ready."]
    assert not library.page.jobs.isVisible()
    assert "Phi-tiny" in texts(library.page.table)
    assert "Q4_K_M · 4k" in texts(library.page.table)
    click(qtbot, library.page.table, "Chat with Phi-tiny")
    assert library.chats == [entry.path]


def test_a_vision_checkpoint_becomes_one_model_and_goes_as_one(
    qtbot: QtBot, library: Library, vision_checkpoint: Path, tmp_path: Path
) -> None:
    answer_dialog(qtbot, "BF16", "Tiny vision")
    drop(library.page, vision_checkpoint)
    qtbot.waitUntil(lambda: imported(library) != [], timeout=WAIT_MS)
    (entry,) = imported(library)
    assert entry.card.has_vision
    assert "vision" in [badge.text() for badge in library.page.table.findChildren(Badge)]
    assert len(list(library.paths.models.iterdir())) == 2
    library.page.table.delete_requested.emit(entry)
    assert "Its files (" in library.notices.questions[0][1]
    qtbot.waitUntil(lambda: imported(library) == [], timeout=WAIT_MS)
    assert list(library.paths.models.iterdir()) == []
    if sys.platform == "linux":
        assert len(list((tmp_path / "data-home").rglob("*.gguf"))) == 2


def test_a_vision_gguf_brings_its_companion(qtbot: QtBot, library: Library, vision_model: ConversionResult) -> None:
    answer_dialog(qtbot, "Q8_0")
    library.controller.import_paths([vision_model.path])
    qtbot.waitUntil(lambda: imported(library) != [], timeout=WAIT_MS)
    (entry,) = imported(library)
    assert entry.card.companion is not None
    assert vision_model.companion is not None
    assert entry.card.companion.read_bytes() == vision_model.companion.read_bytes()


def test_several_files_are_asked_about_one_after_the_other(
    qtbot: QtBot, library: Library, gguf_file: Path, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{name}.gguf" for name in "abc"]
    for path in paths:
        path.write_bytes(gguf_file.read_bytes())
    asked: list[ImportDialog] = []
    open_at_once: list[int] = []

    def answer() -> None:
        dialogs = visible_dialogs()
        if dialogs and dialogs[0] not in asked:
            open_at_once.append(len(dialogs))
            asked.append(dialogs[0])
            dialogs[0]._import.click()
        if len(asked) < len(paths):
            QTimer.singleShot(100, answer)

    QTimer.singleShot(100, answer)
    library.controller.import_paths(paths)
    qtbot.waitUntil(lambda: len(imported(library)) == len(paths), timeout=WAIT_MS)
    assert open_at_once == [1, 1, 1]


def test_a_cancelled_import_leaves_no_model(qtbot: QtBot, library: Library, checkpoint: Path) -> None:
    answer_dialog(qtbot, "Q8_0", "Never")
    library.controller.import_paths([checkpoint])
    qtbot.waitUntil(lambda: library.queue.jobs != [], timeout=WAIT_MS)
    click(qtbot, library.page.jobs, "Cancel: Importing Never")
    qtbot.waitUntil(lambda: library.queue.jobs == [], timeout=WAIT_MS)
    assert not library.page.jobs.isVisible()
    assert list(library.paths.models.glob("*")) == []
    assert imported(library) == []


def test_a_pickle_checkpoint_is_refused_in_place(
    qtbot: QtBot, library: Library, checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "old-model"
    folder.mkdir()
    (folder / "config.json").write_bytes((checkpoint / "config.json").read_bytes())
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    drop(library.page, folder)
    qtbot.waitUntil(lambda: library.page.findChildren(FailureCard) != [], timeout=WAIT_MS)
    (card,) = library.page.findChildren(FailureCard)
    shown = texts(card)
    assert shown[0] == "old-model was not imported"
    assert "pickles" in shown[1]
    assert "safetensors" in shown[2]
    click(qtbot, card, "Dismiss")
    assert not card.isVisible()


def test_a_failed_job_offers_to_try_again(qtbot: QtBot, library: Library, checkpoint: Path) -> None:
    library.paths.models.parent.joinpath("models").write_text("in the way")
    answer_dialog(qtbot)
    library.controller.import_paths([checkpoint])
    qtbot.waitUntil(lambda: any(job.failure for job in library.queue.jobs), timeout=WAIT_MS)
    assert "Phi-tiny was not imported" in texts(library.page.jobs)
    (library.paths.models).unlink()
    click(qtbot, library.page.jobs, "Try again")
    qtbot.waitUntil(lambda: imported(library) != [], timeout=WAIT_MS)


def test_a_gguf_is_used_in_place_and_taken_off_the_list_untouched(
    qtbot: QtBot, library: Library, gguf_file: Path
) -> None:
    answer_dialog(qtbot, name="My model")
    drop(library.page, gguf_file)
    qtbot.waitUntil(lambda: imported(library) != [], timeout=WAIT_MS)
    (entry,) = imported(library)
    assert (entry.title, entry.path) == ("My model", gguf_file.resolve())
    assert "F16 · 4k · used in place" in texts(library.page.table)
    library.page.table.delete_requested.emit(entry)
    assert library.notices.questions == [("Remove My model from the list?", "Its file stays where it is.")]
    qtbot.waitUntil(lambda: imported(library) == [], timeout=WAIT_MS)
    assert gguf_file.exists()


def test_a_gguf_is_made_smaller_on_the_way(qtbot: QtBot, library: Library, gguf_file: Path) -> None:
    answer_dialog(qtbot, "Q8_0")
    library.controller.import_paths([gguf_file])
    qtbot.waitUntil(lambda: imported(library) != [], timeout=WAIT_MS)
    assert imported(library)[0].card.quantization == "Q8_0"


def test_deleting_asks_and_moves_the_file_to_the_trash(
    qtbot: QtBot, library: Library, gguf_file: Path, tmp_path: Path
) -> None:
    library.paths.models.mkdir(parents=True)
    model = library.paths.models / "copy.gguf"
    model.write_bytes(gguf_file.read_bytes())
    library.models.refresh()
    qtbot.waitUntil(lambda: imported(library) != [], timeout=WAIT_MS)
    (entry,) = imported(library)
    unloads: list[Path] = []
    library.controller.unload_requested.connect(unloads.append)
    library.notices.answer = False
    library.page.table.delete_requested.emit(entry)
    assert unloads == []
    assert model.exists()
    library.notices.answer = True
    library.page.table.delete_requested.emit(entry)
    qtbot.waitUntil(lambda: imported(library) == [], timeout=WAIT_MS)
    assert unloads == [model]
    assert not model.exists()
    if sys.platform == "linux":
        assert [file.name for file in (tmp_path / "data-home").rglob("*.gguf")] == ["copy.gguf"]


def test_the_built_in_model_cannot_be_deleted_or_renamed(qtbot: QtBot, library: Library, gguf_file: Path) -> None:
    card = read_card(gguf_file)
    built_in = ModelEntry(type(card)(**{**card.__dict__, "built_in": True}), "Starter", "yes")
    library.page.show_entries([built_in])
    (more,) = buttons(library.page.table, "More about Starter")
    assert [action.text() for action in more.menu().actions()] == ["Show in folder"]


def test_renaming_changes_the_title_only(qtbot: QtBot, library: Library, gguf_file: Path) -> None:
    library.paths.models.mkdir(parents=True)
    model = library.paths.models / "copy.gguf"
    model.write_bytes(gguf_file.read_bytes())
    library.models.refresh()
    qtbot.waitUntil(lambda: imported(library) != [], timeout=WAIT_MS)

    def type_name() -> None:
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, QInputDialog)
        dialog.setTextValue("Phi at home")
        dialog.accept()

    QTimer.singleShot(50, type_name)
    library.page.table.rename_requested.emit(imported(library)[0])
    assert imported(library)[0].title == "Phi at home"
    assert "Phi at home" in texts(library.page.table)
    assert model.exists()


def test_a_broken_file_is_listed_with_its_problem_and_no_chat(qtbot: QtBot, library: Library) -> None:
    library.paths.models.mkdir(parents=True)
    (library.paths.models / "broken.gguf").write_bytes(b"GGUF")
    library.models.refresh()
    qtbot.waitUntil(lambda: imported(library) != [], timeout=WAIT_MS)
    assert imported(library)[0].card.problem in texts(library.page.table)
    assert buttons(library.page.table, "Chat with broken") == []


def test_a_page_without_models_offers_the_first_step(library: Library) -> None:
    library.page.show_entries([])
    assert not library.page.table.isVisible()
    assert any("Import a checkpoint folder" in text for text in texts(library.page))
