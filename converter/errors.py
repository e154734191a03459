"""Define the errors of the converter that a user can act on."""


class ConversionError(Exception):
    """Report a known fault with a stable code, one sentence for the user and a way out."""

    def __init__(self, code: str, message: str, remedy: str | None = None) -> None:
        """Keep the parts; `code` is one of the codes of the engine's protocol."""
        super().__init__(message if remedy is None else f"{message} {remedy}")
        self.code = code
        self.message = message
        self.remedy = remedy


class ConversionCancelled(Exception):
    """Leave a conversion because its user asked for it."""
