"""Test hints at personal and secret data; all of it here is made up or published as an example."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.personal_data import personal_data


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Write to jane.doe+news@mail.example.org.", "e-mail address"),
        ("Call +49 30 901820 now", "telephone number"),
        ("Call (555) 555-0100.", "telephone number"),
        ("DE89 3704 0044 0532 0130 00", "IBAN"),
        ("GB82WEST12345698765432", "IBAN"),
        ("4111 1111 1111 1111", "payment card number"),
        ("3782-822463-10005", "payment card number"),
        ("378282246310005", "payment card number"),
        ("from 8.8.8.8:", "IP address"),
        ("at 2001:4860:4860::8888", "IPv6 address"),
        ("sk-" + "a1B2" * 8, "API key"),
        ("AKIAIOSFODNN7EXAMPLE", "API key"),
        ("ghp_" + "a" * 36, "API key"),
        ("-----BEGIN RSA PRIVATE KEY-----", "API key"),
    ],
)
def test_kinds_are_named(text, kind):
    assert personal_data(["fine", text]) == (kind,)


@pytest.mark.parametrize(
    "text",
    [
        "me@home",
        "@decorator a@b",
        "1 + 234 567",
        "+1 2",
        "DE89 3704 0044 0532 0130 01",
        "4111 1111 1111 1112",
        "0000 0000 0000 0000",
        "127.0.0.1 and 192.168.0.1",
        "999.1.1.1",
        "version 1.2.3",
        "at 12:30:45",
        "std::vector::iterator",
        "sk-short",
        "The years 1914 1918 1939 1945",
    ],
)
def test_what_only_looks_alike_is_left_alone(text):
    assert personal_data([text]) == ()


def test_several_kinds_are_named_once():
    text = "a@example.org b@example.org 8.8.8.8"
    assert personal_data([text, text]) == ("e-mail address", "IP address")


@given(st.text(st.sampled_from("a@.1 +:-(DE"), max_size=200))
def test_no_text_breaks_the_patterns(text):
    assert isinstance(personal_data([text]), tuple)


@pytest.mark.parametrize("piece", ["a.", "1", "1 ", "a:", "DE12 ", "+1 ", "eyJa", "a@", "-----BEGIN "])
def test_long_texts_do_not_take_long(piece):
    # The test's own time limit is what fails here.
    personal_data([piece * 200_000])
