"""HTML of texts that are data: everything is escaped here and nowhere else."""

import html
import re
from collections.abc import Sequence


def table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    """Write a table; a number from 0 to 1 becomes a bar with its percentage."""
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in headers)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    title = f"<caption>{html.escape(caption)}</caption>"
    inner = f"{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    # A table wider than the screen scrolls; what scrolls must be reachable by keyboard.
    return f'<div class="florenz-scroll" tabindex="0"><table class="florenz-table">{inner}</table></div>'


def columns(titles: Sequence[str], texts: Sequence[str], verdict: str, language: str) -> str:
    """Write texts side by side; words of the later ones that the first does not have are marked."""
    known = split_words(texts[0])
    cards = []
    for title, text in zip(titles, texts, strict=True):
        marked = "".join(
            html.escape(piece) if not piece.strip() or piece in known else f"<mark>{html.escape(piece)}</mark>"
            for piece in split_words(text)
        )
        cards.append(
            f'<section><h3>{html.escape(title)}</h3><p lang="{html.escape(language)}">{marked or "–"}</p></section>'
        )
    return f'<div class="florenz-columns">{"".join(cards)}</div>' + note(verdict)


def capital(text: str) -> str:
    """Begin a text with a capital letter."""
    return text[:1].upper() + text[1:]


def split_words(text: str) -> list[str]:
    """Split a text into words, marks and spaces; Chinese, which writes no spaces, at its conjunctions and marks."""
    return re.findall(r"\s+|[和、，。：]|[^\W和]+|[^\w\s]", text)


def note(text: str) -> str:
    """Write a paragraph."""
    return f'<p class="florenz-note">{html.escape(text)}</p>'


def trouble(text: str) -> str:
    """Write a paragraph that tells what went wrong, at once to those who listen too."""
    return f'<p class="florenz-trouble" role="alert">{html.escape(text)}</p>'


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return f'<td dir="auto">{html.escape(value)}</td>'
    bar = f'<span class="florenz-bar" style="width:{value * 100:.1f}%"></span>'
    return f'<td class="florenz-share"><span>{value:.1%}</span>{bar}</td>'
