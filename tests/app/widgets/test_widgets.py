"""Check the shared pieces."""

import warnings
from pathlib import Path

from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from pytestqt.qtbot import QtBot

from app.widgets.bars import LabelledSlider, ThinProgress
from app.widgets.buttons import Button, ElidedButton, MenuButton
from app.widgets.labels import Badge, ElidedLabel
from app.widgets.surfaces import DropZone, Page


def test_slider_moves_in_steps_and_reports_only_the_users_changes(qtbot: QtBot) -> None:
    slider = LabelledSlider("Temperature", 0.0, 2.0, 0.05)
    qtbot.addWidget(slider)
    heard: list[float] = []
    slider.value_changed.connect(heard.append)
    slider.set_value(0.7)
    assert slider.value() == 0.7
    assert heard == []
    inner = slider.findChild(type(slider._slider))
    assert inner is not None
    qtbot.keyClick(inner, Qt.Key.Key_Right)
    assert heard == [0.75]


def test_progress_is_clamped_and_can_be_indefinite(qtbot: QtBot) -> None:
    bar = ThinProgress("Import")
    qtbot.addWidget(bar)
    bar.set_fraction(7.0)
    assert bar.value() == bar.maximum()
    bar.set_fraction(None)
    assert bar.maximum() == 0
    bar.set_fraction(0.5)
    assert bar.value() == bar.maximum() // 2


def test_elided_label_offers_the_whole_text(qtbot: QtBot) -> None:
    label = ElidedLabel("A name that is much too long for sixty pixels")
    qtbot.addWidget(label)
    label.resize(60, 20)
    label.show()
    assert label.toolTip() == label.text()
    label.resize(900, 20)
    assert label.toolTip() == ""


def test_names_are_never_read_as_rich_text(qtbot: QtBot) -> None:
    badge = Badge("<b>x</b>", "good")
    qtbot.addWidget(badge)
    assert badge.textFormat() is Qt.TextFormat.PlainText


def test_buttons_take_the_focus_by_tab_only(qtbot: QtBot) -> None:
    button = Button("Import", "primary")
    menu = MenuButton("Balanced", "value")
    qtbot.addWidget(button)
    qtbot.addWidget(menu)
    assert button.focusPolicy() is Qt.FocusPolicy.TabFocus
    assert menu.text() == "Balanced ▾"


def test_drop_zone_hands_local_paths_on_and_refuses_others(qtbot: QtBot, tmp_path: Path) -> None:
    zone = DropZone("Drop here")
    qtbot.addWidget(zone)
    heard: list[list[Path]] = []
    zone.paths_dropped.connect(heard.append)
    data = QMimeData()
    data.setUrls([QUrl("https://example.org/x")])
    zone.dragEnterEvent(_enter(data))
    assert zone.property("hot") != "true"
    data.setUrls([QUrl.fromLocalFile(str(tmp_path))])
    zone.dragEnterEvent(_enter(data))
    assert zone.property("hot") == "true"
    point = QPoint(5, 5).toPointF()
    zone.dropEvent(
        QDropEvent(point, Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    )
    assert heard == [[tmp_path]]


def test_page_has_a_name(qtbot: QtBot) -> None:
    page = Page("Models")
    qtbot.addWidget(page)
    assert page.accessibleName() == "Models"


def _enter(data: QMimeData) -> QDragEnterEvent:
    # The constructor with a device is private; this one is only deprecated.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return QDragEnterEvent(
            QPoint(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        )


def test_a_long_button_is_shortened_to_its_room(qtbot: QtBot) -> None:
    button = ElidedButton("A rather long name & more", "value")
    qtbot.addWidget(button)
    whole = button.sizeHint().width()
    assert button.minimumSizeHint().width() < whole / 2
    button.resize(whole, button.sizeHint().height())
    button.show()
    assert (button.text(), button.toolTip()) == ("A rather long name && more", "")
    button.resize(whole - 40, button.height())
    assert button.text().endswith("…")
    assert button.toolTip() == "A rather long name & more"
    assert button.sizeHint().width() == whole
    button.resize(whole, button.height())
    assert button.text() == "A rather long name && more"
