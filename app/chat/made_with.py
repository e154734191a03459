"""Say in a line what an answer was made with, as far as that was kept."""

from PySide6.QtCore import QCoreApplication, QLocale

from app.storage.messages import Message


def made_with_text(message: Message) -> str:
    """Return version, model, adapter and sampling values of an answer."""
    model = message.stats.model if message.stats else None
    values = message.made_with
    parts = [_tr("Version {}").format(message.version), model or _tr("model not known")]
    adapter = values.get("adapter")
    if isinstance(adapter, str) and adapter:
        parts.append(_tr("adapter {0} × {1}").format(adapter, _number(values.get("adapter_scale")) or "1"))
    for name, words in (
        ("temperature", _tr("temperature {}")),
        ("top_p", _tr("top-p {}")),
        ("top_k", _tr("top-k {}")),
        ("min_p", _tr("min-p {}")),
    ):
        number = _number(values.get(name))
        if number:
            parts.append(words.format(number))
    return " · ".join(parts)


def _number(value: object) -> str:
    """Write a number shortly; what is none becomes nothing."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return ""
    return QLocale().toString(float(value), "g", 4)


def _tr(text: str) -> str:
    return QCoreApplication.translate("MadeWith", text)
