"""Change a property that the style sheet selects by.

restyle(widget, "tone", "warning")
"""

from PySide6.QtWidgets import QWidget


def restyle(widget: QWidget, name: str, value: str) -> None:
    """Set a dynamic property and dress the widget anew, if the value is another one."""
    if widget.property(name) == value:
        return
    widget.setProperty(name, value)
    style = widget.style()
    style.unpolish(widget)
    style.polish(widget)
    widget.update()
