"""Notice what may be personal or secret in a text. These are hints: patterns know no meaning."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable

# Every repetition has a limit, so that no text makes the search slow.
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
_PHONE = re.compile(r"(?<![\w+])\+\d[\d ()./-]{6,20}\d(?!\w)|(?<![\w(])\(\d{3}\) ?\d{3}-\d{4}(?!\w)")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(
    r"(?<![\w.-])(?<!\d )(?:[2-6]\d{12,18}|[2-6]\d{3}([ -])\d{4}\1\d{4}\1\d{4}|3\d{3}([ -])\d{6}\2\d{5})(?![\w.-]?\d)"
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]?\w)")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{1,4}(?![\w:])")
_KEY = re.compile(
    r"\b(?:sk-[\w-]{20,200}|gh[pousr]_\w{36,100}|github_pat_\w{30,100}|AKIA[0-9A-Z]{16}|AIza[\w-]{35}|hf_[A-Za-z0-9]{30,60}"
    r"|xox[abprs]-[\w-]{10,200}|eyJ[\w-]{10,2000}\.eyJ[\w-]{10,2000}\.[\w-]{10,2000})"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"
)


def personal_data(texts: Iterable[str]) -> tuple[str, ...]:
    """Name the kinds of personal or secret data that some texts seem to hold."""
    found: dict[str, None] = {}
    for text in texts:
        for kind, (pattern, holds) in _KINDS.items():
            if kind not in found and any(holds(match.group()) for match in pattern.finditer(text)):
                found[kind] = None
    return tuple(found)


def _always(text: str) -> bool:
    return True


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def is_phone(text: str) -> bool:
    """Tell whether a number has as many digits as telephone numbers have."""
    return 8 <= len(_digits(text)) <= 15


def is_iban(text: str) -> bool:
    """Check length and checksum of a bank account number (ISO 13616, mod 97)."""
    compact = text.replace(" ", "")
    if not 15 <= len(compact) <= 34:
        return False
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1


def is_card(text: str) -> bool:
    """Check length and checksum of a payment card number (ISO 7812, Luhn)."""
    digits = [int(digit) for digit in _digits(text)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_public_address(text: str) -> bool:
    """Tell whether a text is an IP address that can be reached on the internet."""
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


_KINDS: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "e-mail address": (_EMAIL, _always),
    "telephone number": (_PHONE, is_phone),
    "IBAN": (_IBAN, is_iban),
    "payment card number": (_CARD, is_card),
    "IP address": (_IPV4, is_public_address),
    "IPv6 address": (_IPV6, is_public_address),
    "API key": (_KEY, _always),
}
