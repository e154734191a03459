"""Open the window: `python -m app [MODEL.gguf] [--profile DIR] [--smoke] [--screenshot FILE --page P --theme T]`."""

import argparse
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

from engine.launch import restore_library_path
from engine.processor import processor_problem

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

# Qt and everything above it is imported once the arguments are known to be right.

LOG_BYTES = 1_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
    restore_library_path()
    options = _parse(arguments)
    problem = processor_problem()
    if problem is not None:
        print(f"phidelity: {problem}", file=sys.stderr)
        return 1
    if sys.platform.startswith("linux") and not _has_display():
        if not options.smoke and not options.screenshot:
            print("phidelity: there is no display to open a window on (DISPLAY is not set).", file=sys.stderr)
            return 1
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    if options.smoke and options.profile is None:
        # The user's own chats are none of its business.
        with tempfile.TemporaryDirectory(prefix="phidelity-", ignore_cleanup_errors=True) as folder:
            return _run(options, Path(folder))
    return _run(options, options.profile)


def _run(options: argparse.Namespace, profile: Path | None) -> int:
    from PySide6.QtCore import QLocale, QObject
    from PySide6.QtWidgets import QApplication

    from app.application import Application
    from app.errands import Screenshot, SmokeTest
    from app.notices import show_start_failure
    from app.paths import profile_paths
    from app.storage.errors import StorageError

    paths = profile_paths(profile)
    _log_to(paths.logs)
    qt = QApplication(sys.argv[:1])
    qt.setApplicationName("Phidelity")
    qt.setDesktopFileName("phidelity")
    if QLocale().language() is QLocale.Language.C:
        # A system without a language still deserves readable numbers.
        QLocale.setDefault(QLocale("en_US"))
    alone = not options.smoke and not options.screenshot
    try:
        application = Application(qt, paths, options.theme)
    except StorageError as error:
        if error.code == "profile_in_use" and options.model is not None:
            return _leave_to_open_window(options.model, paths.open_requests)
        print(f"phidelity: {error} {error.remedy or ''}".rstrip(), file=sys.stderr)
        if alone:
            show_start_failure(error)
        return 3
    signals = QuitSignals(qt)
    if options.size:
        application.window.resize(*options.size)
    application.start(options.model)
    application.window.show_page(options.page)
    errand: QObject | None = None
    if options.smoke:
        errand = SmokeTest(application)
    elif options.screenshot:
        errand = Screenshot(application, options.screenshot)
    status = qt.exec()
    application.shutdown()
    signals.close()
    del errand
    return status


def _leave_to_open_window(model: Path, folder: Path) -> int:
    from app.opening import hand_over

    try:
        hand_over(model, folder)
    except OSError as error:
        print(f"phidelity: {model.name} could not be handed to the open window: {error}.", file=sys.stderr)
        return 4
    return 0


class QuitSignals:
    """Quit in order when the system asks for it; Python hears a signal only when Qt's loop wakes up."""

    def __init__(self, qt: "QApplication") -> None:
        """Listen from now on."""
        from PySide6.QtCore import QSocketNotifier, QTimer

        self._ours, self._theirs = socket.socketpair()
        for end in (self._ours, self._theirs):
            end.setblocking(False)
        signal.set_wakeup_fd(self._theirs.fileno())
        notifier = QSocketNotifier(self._ours.fileno(), QSocketNotifier.Type.Read, qt)
        notifier.activated.connect(lambda *_: self._ours.recv(16))
        for number in (signal.SIGINT, signal.SIGTERM):
            # Through the loop: before it runs there is nothing that could be quit.
            signal.signal(number, lambda *_: QTimer.singleShot(0, qt, qt.quit))

    def close(self) -> None:
        """Hear signals as before."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        self._ours.close()
        self._theirs.close()


def _log_to(folder: Path) -> None:
    """Keep a small log; without a folder to write to there is none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(folder / "window.log", maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    except OSError:
        return
    logging.basicConfig(level=logging.INFO, handlers=[handler], format="%(asctime)s %(levelname)s %(name)s %(message)s")


def _has_display() -> bool:
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))


def _size(text: str) -> tuple[int, int]:
    """Read 1280x800."""
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError("write it as 1280x800")
    return int(width), int(height)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m app", description="Chat with Phi-3 models on this computer.")
    parser.add_argument("model", type=Path, nargs="?", metavar="MODEL.gguf", help="a model to add and chat with")
    parser.add_argument("--profile", type=Path, metavar="DIR", help="keep chats, settings and models in DIR")
    parser.add_argument("--smoke", action="store_true", help="send one message to the Starter, print the answer, quit")
    parser.add_argument("--screenshot", type=Path, metavar="FILE", help="save a picture of the window and quit")
    parser.add_argument(
        "--page", choices=("chat", "models", "training", "settings"), default="chat", help="the page to show"
    )
    parser.add_argument("--theme", choices=("light", "dark"), help="instead of the one in the settings")
    parser.add_argument("--size", type=_size, metavar="WxH", help="the size of the window")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
