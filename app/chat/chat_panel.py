"""Be the panel at the right: how this chat is answered, and what the model runs on."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.chat.adapter_list import AdapterList
from app.engine_bridge import EngineState
from app.settings import PRESETS
from app.widgets.bars import LabelledSlider, ThinProgress, ValueRow
from app.widgets.buttons import MenuButton
from app.widgets.labels import Label, WrappedLabel
from app.widgets.surfaces import Hairline
from app.widgets.text_field import TextField
from engine.protocol import LoadedModel

WIDTH = 280
REPLY_LENGTHS = (256, 512, 1024, 2048, 4096, 0)
PROMPT_LINES = 4
TYPING_PAUSE_MS = 400


class ChatPanel(QScrollArea):
    """Set preset, temperature, top-p, longest reply and system prompt of a chat; show the model's figures."""

    sampling_changed = Signal(dict)
    system_prompt_changed = Signal(str)
    adapters_changed = Signal(tuple)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make the panel."""
        super().__init__(parent)
        self.setFixedWidth(WIDTH)
        self.setAccessibleName(self.tr("This chat"))
        self._sampling: dict[str, Any] = {}
        self._preset = MenuButton("", "value")
        self._temperature = LabelledSlider(self.tr("Temperature"), 0.0, 2.0, 0.05)
        self._temperature.value_changed.connect(lambda value: self._change(temperature=value))
        self._top_p = LabelledSlider(self.tr("Top-p"), 0.0, 1.0, 0.01)
        self._top_p.value_changed.connect(lambda value: self._change(top_p=value))
        self._reply = MenuButton("", "value")
        self._prompt = TextField()
        self._pause = QTimer(self, singleShot=True, interval=TYPING_PAUSE_MS)
        self._pause.timeout.connect(self._tell_prompt)
        self._runs_on = ValueRow(self.tr("Runs on"))
        self._reason = WrappedLabel("", "small")
        self._memory = ValueRow(self.tr("Memory"))
        self._memory_bar = ThinProgress(self.tr("Memory in use"))
        self._context = ValueRow(self.tr("Context"))
        self.adapters = AdapterList()
        self.adapters.changed.connect(self.adapters_changed)
        self._prepare()
        self._lay_out()

    def set_sampling(self, sampling: Mapping[str, Any]) -> None:
        """Show the values that this chat is answered with."""
        self._sampling = dict(sampling)
        self._temperature.set_value(sampling["temperature"])
        self._top_p.set_value(sampling["top_p"])
        names = self._preset_names()
        preset = next((name for name, values in PRESETS.items() if values.items() <= self._sampling.items()), None)
        self._preset.set_label(names[preset] if preset else self.tr("Custom"))
        self._reply.set_label(self._length_words(int(sampling["max_tokens"])))

    def set_system_prompt(self, text: str) -> None:
        """Show the system prompt of this chat."""
        self._pause.stop()
        if text != self._prompt.toPlainText():
            blocked = self._prompt.blockSignals(True)
            self._prompt.setPlainText(text)
            self._prompt.blockSignals(blocked)

    def focus_system_prompt(self) -> None:
        """Let the user write the system prompt."""
        self._prompt.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def finish_typing(self) -> None:
        """Tell at once of a system prompt that was just written."""
        if self._pause.isActive():
            self._pause.stop()
            self._tell_prompt()

    def set_model(self, state: EngineState, memory: tuple[int, int] | None) -> None:
        """Show what the model runs on, and the bytes it uses of those that the computer has."""
        model = state.model if state.kind == "ready" else None
        self._show_runs_on(model)
        self._context.set_value(self.tr("{0} tokens").format(self.locale().toString(model.context)) if model else "–")
        self._memory_bar.setVisible(model is not None and memory is not None)
        if model is None or memory is None:
            self._memory.set_value("–")
            return
        used, total = memory
        self._memory.set_value(self.tr("{0} of {1} GB").format(f"{used / 2**30:.1f}", f"{total / 2**30:.0f}"))
        self._memory_bar.set_fraction(used / total)

    def _show_runs_on(self, model: LoadedModel | None) -> None:
        """Name what computes, and say how much of the model is on a GPU; any other reason is the tool tip."""
        self._reason.setVisible(model is not None and model.gpu_layers > 0 and bool(model.runs_on_reason))
        if model is None:
            self._runs_on.set_value("–")
            return
        threads = self.tr("1 thread") if model.threads == 1 else self.tr("{0} threads").format(model.threads)
        value = model.runs_on if model.gpu_layers else f"{model.runs_on}, {threads}"
        self._runs_on.set_value(value, ": ".join(filter(None, [model.runs_on, model.runs_on_reason])))
        self._reason.setText(model.runs_on_reason[:1].upper() + model.runs_on_reason[1:])

    def _prepare(self) -> None:
        """Fill the menus and the editor."""
        for key, name in self._preset_names().items():
            self._preset.menu().addAction(name, partial(self._change, **PRESETS[key]))
        for length in REPLY_LENGTHS:
            words = self._length_words(length)
            self._reply.menu().addAction(words, partial(self._change, max_tokens=length))
        self._preset.setToolTip(self.tr("How freely the model chooses its words"))
        self._prompt.setPlaceholderText(self.tr("What the model should know or be in this chat"))
        self._prompt.setAccessibleName(self.tr("System prompt"))
        self._prompt.setFixedHeight(self._prompt.fontMetrics().lineSpacing() * PROMPT_LINES + 14)
        self._prompt.textChanged.connect(self._pause.start)

    def _lay_out(self) -> None:
        content = QWidget()
        content.setProperty("kind", "page")
        layout = QVBoxLayout(content)
        layout.setContentsMargins(16, 17, 16, 16)
        layout.setSpacing(12)
        layout.addWidget(Label(self.tr("This chat"), "heading"))
        layout.addLayout(_choice(self.tr("Preset"), self._preset))
        layout.addWidget(self._temperature)
        layout.addWidget(self._top_p)
        layout.addLayout(_choice(self.tr("Max reply"), self._reply))
        layout.addWidget(Label(self.tr("System prompt"), "muted"))
        layout.addWidget(self._prompt)
        layout.addSpacing(4)
        layout.addWidget(Hairline())
        layout.addWidget(Label(self.tr("Model"), "heading"))
        layout.addWidget(self._runs_on)
        layout.addWidget(self._reason)
        layout.addWidget(self._memory)
        layout.addWidget(self._memory_bar)
        layout.addWidget(self._context)
        layout.addWidget(self.adapters)
        layout.addSpacing(4)
        layout.addWidget(Hairline())
        layout.addWidget(WrappedLabel(self.tr("Everything stays on this computer."), "small"))
        layout.addStretch()
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def _change(self, **values: float) -> None:
        self.set_sampling({**self._sampling, **values})
        self.sampling_changed.emit(dict(self._sampling))

    def _tell_prompt(self) -> None:
        self.system_prompt_changed.emit(self._prompt.toPlainText())

    def _preset_names(self) -> dict[str, str]:
        names = {"precise": self.tr("Precise"), "balanced": self.tr("Balanced"), "creative": self.tr("Creative")}
        return {key: names[key] for key in PRESETS}

    def _length_words(self, length: int) -> str:
        return self.tr("{0} tokens").format(self.locale().toString(length)) if length else self.tr("no limit")


def _choice(name: str, button: MenuButton) -> QHBoxLayout:
    """Put a name at the left and the button that changes it at the right."""
    button.setAccessibleName(name)
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, -4, 0)
    row.addWidget(Label(name, "muted"))
    row.addStretch()
    row.addWidget(button)
    return row
