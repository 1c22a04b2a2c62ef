from __future__ import annotations

from pathlib import Path

import pytest

from crawlers.pages.document import lines_of, parse_page, tidy

PAGES = Path(__file__).parent / "pages"


@pytest.mark.parametrize(
    ("html", "lines"),
    [
        (
            "<p>Первая</p>вторая<div>третья</div>четвёртая",
            ["Первая", "вторая", "третья", "четвёртая"],
        ),
        ("слитно<b>сть</b> и <i>пробел</i>", ["слитность и пробел"]),
        ("a<br>b<br/><br>c", ["a", "b", "c"]),
        ("строка\n  и \t ещё\r\nодна", ["строка", "и ещё", "одна"]),
        ("до<script>x</script><style>y</style><!-- z -->после", ["допосле"]),
        ("&lt;b&gt; &amp;amp; &#1071;", ["<b> &amp; Я"]),
        ("", []),
    ],
)
def test_lines_are_what_a_reader_sees(html: str, lines: list[str]) -> None:
    page = parse_page(f'<div class="here">{html}</div>', "https://pet911.ru/")
    assert list(lines_of(page.first("here"))) == lines


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.html")), ids=lambda path: path.stem)
def test_no_text_is_lost_or_moved(path: Path) -> None:
    """Against XPath's text nodes, blanks aside."""
    page = parse_page(path.read_text(encoding="utf-8"), "https://pet911.ru/")
    body = page.tree.xpath("//body")[0]
    texts = body.xpath(".//text()[not(ancestor::script or ancestor::style)]").getall()
    assert "".join("".join(lines_of(body.root)).split()) == "".join("".join(texts).split())


def test_elements_come_in_the_order_of_the_page() -> None:
    page = parse_page(
        '<i class="b">1</i><i class="x  a\nb">2</i><i class="a">3</i><i class="ab">4</i>',
        "https://pet911.ru/",
    )
    assert [element.text for element in page.having_class("a", "b")] == ["1", "2", "3"]
    assert page.first("c") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  много \u00a0 пробелов ", "много пробелов"),
        ("и\u0306", "й"),
        ("8\u200b9\u20600\ufeff0\U000e0030\ue000\u00ad", "8900"),
        ("\u202eзадом\u202c", "задом"),
        ("кот 🐈\ufe0f", "кот 🐈\ufe0f"),
    ],
)
def test_tidy(text: str, expected: str) -> None:
    assert tidy(text) == expected
