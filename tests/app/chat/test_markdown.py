"""Check the reading of Markdown, whole and growing."""

import pytest

from app.chat.markdown import Block, Code, Paragraph, Rule, Span, StreamingMarkdown, Table, parse

SAMPLE = """# Title

Some **bold**, *italic*, ~~gone~~ and `code` with a [link](https://example.org).
A second line.

1. One
2. Two

   ```python
   print("in a list")
   ```
3. Three
   - inner
     1. deeper

> quoted
> > twice

| a | b |
|---|--:|
| 1 | 2 |
| **x** | `y` |

---

```sql
SELECT 1;

SELECT 2;
```

    indented code

Last paragraph
===

- [ ] open
- [x] done
"""


def test_inline_styles_and_line_breaks() -> None:
    assert parse("a **b *c* `d`**\ne") == [
        Paragraph(
            (
                Span("a "),
                Span("b ", bold=True),
                Span("c", bold=True, italic=True),
                Span(" ", bold=True),
                Span("d", bold=True, code=True),
                Span("\ne"),
            )
        )
    ]


def test_lists_keep_their_numbers_across_a_code_block() -> None:
    blocks = parse("3. a\n\n   ```py\n   x\n   ```\n4. b\n   - c\n")
    assert [(b.marker, b.list_depth) for b in blocks if isinstance(b, Paragraph)] == [("3.", 1), ("4.", 1), ("◦", 2)]
    assert blocks[1] == Code("x", "py", 1)


def test_second_paragraph_of_an_item_has_no_marker() -> None:
    blocks = parse("- a\n\n  b\n")
    assert [(b.marker, b.list_depth) for b in blocks if isinstance(b, Paragraph)] == [("•", 1), ("", 1)]


def test_table_headings_quotes_rules_and_tasks() -> None:
    blocks = parse(SAMPLE)
    table = next(block for block in blocks if isinstance(block, Table))
    assert table.alignments == ("left", "right")
    assert table.rows[1] == ((Span("x", bold=True),), (Span("y", code=True),))
    assert Rule() in blocks
    assert [b.quote_depth for b in blocks if isinstance(b, Paragraph) and b.quote_depth] == [1, 2]
    assert [b.heading for b in blocks if isinstance(b, Paragraph) and b.heading] == [1, 1]
    assert [b.marker for b in blocks if isinstance(b, Paragraph)][-2:] == ["☐", "☑"]


def test_html_stays_text_and_pictures_become_links() -> None:
    assert parse("<b>x</b><script>1</script>") == [Paragraph((Span("<b>x</b><script>1</script>"),))]
    assert parse("![cat](https://example.org/cat.png)") == [
        Paragraph((Span("cat", href="https://example.org/cat.png"),))
    ]
    assert parse("[x](javascript:alert(1))") == [Paragraph((Span("[x](javascript:alert(1))"),))]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 50])
def test_growing_text_ends_as_the_whole_text(step: int) -> None:
    stream = StreamingMarkdown()
    blocks: list[Block] = []
    for start in range(0, len(SAMPLE), step):
        blocks = stream.append(SAMPLE[start : start + step])
    assert blocks == parse(SAMPLE)


def test_growing_text_parses_only_its_tail() -> None:
    stream = StreamingMarkdown()
    stream.append("paragraph\n\n" * 500)
    assert len(stream._tail) < 100


@pytest.mark.parametrize("text", ["", "\n", ">" * 3000, "- " * 3000, "[" * 3000, "|" * 3000, "\u0000\ufffe", "```"])
def test_odd_input_is_read(text: str) -> None:
    parse(text)
    StreamingMarkdown().append(text)
