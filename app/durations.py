"""Put what is left of a wait into words."""

from PySide6.QtCore import QCoreApplication


def left_text(seconds: float) -> str:
    """Write how long something will still take: `8 s left`, `about 9 min left`."""
    if seconds < 60:
        return _translate("{} s left").format(max(round(seconds), 1))
    if seconds < 5400:
        return _translate("about {} min left").format(round(seconds / 60))
    return _translate("about {} h left").format(round(seconds / 3600))


def _translate(text: str) -> str:
    return QCoreApplication.translate("Durations", text)
