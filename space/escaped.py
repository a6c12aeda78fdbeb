"""HTML tables of texts that are data: everything is escaped here and nowhere else."""

import html
from collections.abc import Sequence


def table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    """Write a table; a number from 0 to 1 becomes a bar with its percentage."""
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in headers)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    title = f"<caption>{html.escape(caption)}</caption>"
    inner = f"{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    # A table wider than the screen scrolls; what scrolls must be reachable by keyboard.
    return f'<div class="florenz-scroll" tabindex="0"><table class="florenz-table">{inner}</table></div>'


def note(text: str) -> str:
    """Write a paragraph."""
    return f'<p class="florenz-note">{html.escape(text)}</p>'


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return f"<td>{html.escape(value)}</td>"
    bar = f'<span class="florenz-bar" style="width:{value * 100:.1f}%"></span>'
    return f'<td class="florenz-share"><span>{value:.1%}</span>{bar}</td>'
