"""Test the pieces of texts and PDF files."""

import io

import pytest

from engine.data.documents import PIECE_CHARACTERS, pdf_pieces, text_pieces
from engine.data.example import Example, Place, RowProblem
from engine.errors import EngineError

PARAGRAPH = "A line of a long tale.\n" * 100 + "\n"


def pieces(text):
    return list(text_pieces(io.StringIO(text), "tale.txt"))


def test_a_short_text_is_one_piece():
    assert pieces("\n\n One.\n\nTwo.\n") == [Example(Place("tale.txt", 1), text="One.\n\nTwo.")]


def test_long_texts_are_cut_where_a_paragraph_ends():
    found = pieces(PARAGRAPH * 30)
    assert len(found) > 3
    assert "\n\n".join(piece.text for piece in found) == (PARAGRAPH * 30).strip()
    assert all(PIECE_CHARACTERS <= len(piece.text) < PIECE_CHARACTERS + len(PARAGRAPH) for piece in found[:-1])
    lines = (PARAGRAPH * 30).splitlines()
    assert all(lines[piece.place.number - 1].startswith("A line") for piece in found)


def test_a_text_without_paragraphs_is_cut_all_the_same():
    found = pieces("word " * 20_000)
    assert sum(len(piece.text) for piece in found) > 99_000
    assert all(len(piece.text) <= 3 * PIECE_CHARACTERS for piece in found)


def test_nul_characters_are_a_problem_of_their_piece():
    [problem] = pieces("One\x00two.")
    assert problem == RowProblem(Place("tale.txt", 1), "The text contains a NUL character.")


def test_white_space_is_nothing():
    assert pieces(" \n\n ") == []


def pdf(*pages, encrypt=""):
    """Write a PDF file by hand; pages are what their content streams draw."""
    kids = " ".join(f"{10 + 2 * index} 0 R" for index in range(len(pages)))
    objects = [
        "1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj",
        f"2 0 obj <</Type/Pages/Kids[{kids}]/Count {len(pages)}>> endobj",
        "3 0 obj <</Type/Font/Subtype/Type1/BaseFont/Helvetica>> endobj",
    ]
    for index, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET" if text else ""
        page = f"/Resources<</Font<</F1 3 0 R>>>>/MediaBox[0 0 600 800]/Contents {11 + 2 * index} 0 R"
        objects += [
            f"{10 + 2 * index} 0 obj <</Type/Page/Parent 2 0 R{page}>> endobj",
            f"{11 + 2 * index} 0 obj <</Length {len(stream)}>> stream\n{stream}\nendstream endobj",
        ]
    return ("%PDF-1.4\n" + "\n".join(objects) + f"\ntrailer <</Root 1 0 R{encrypt}>>\n%%EOF\n").encode()


def test_the_pages_of_a_pdf_file_are_joined(tmp_path):
    path = tmp_path / "book.pdf"
    path.write_bytes(pdf("First page.", "", "Third page."))
    seen = []
    found = list(pdf_pieces(path, path.name, lambda done, total: seen.append((done, total))))
    assert found == [Example(Place("book.pdf", 1, "page"), text="First page.\n\nThird page.")]
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (pdf("", ""), "book.pdf has no text: its pages are pictures."),
        (pdf("First page.")[:40], "book.pdf is no PDF file or damaged."),
        (
            pdf("x", encrypt=f"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<{'00' * 32}>/U<{'00' * 32}>>>/ID[<00><00>]"),
            "book.pdf is protected by a password.",
        ),
    ],
)
def test_pdf_files_without_text_are_one_sentence(tmp_path, data, sentence):
    path = tmp_path / "book.pdf"
    path.write_bytes(data)
    with pytest.raises(EngineError) as failure:
        list(pdf_pieces(path, path.name))
    assert failure.value.code == "input_invalid"
    assert failure.value.message == sentence
    assert failure.value.remedy
