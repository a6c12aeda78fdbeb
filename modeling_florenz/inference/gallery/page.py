"""Write a page of HTML that holds everything it shows and asks no network for anything."""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path, PurePath

import numpy as np

from ...resumable import whole_file
from .exhibits import OWN_NAMES, UNKNOWN, Exhibit, Saying, Word


_HERE = Path(__file__).parent
_GENERATOR = '<meta name="generator" content="florenz show">'
_UNSURE = 0.5  # a word that the model itself takes for less likely than all others together is marked
_HINT = (
    "Touch a word: the picture lights where the model looked while it wrote it. Point at the picture: the words that "
    "looked there glow."
)
_NUMBERS = (
    "Sure: probability of a word, given those before it; a word under half of it is dotted. Image: share of its "
    "attention that went to places; the rest went to the image as a whole and to the prompt. Light: its brightest "
    "place beside the caption's brightest, and the strength of the line under it."
)
_SOME_UNKNOWN = (
    "This model knows emoji scenes and nothing else. Its words on {} of these {} pictures probably mean nothing."
)


@dataclass(frozen=True)
class PageInfo:
    """Say what a page is about.

    Args:
        title: its heading.
        count: pictures that it will show.
        languages: ISO 639-1 code to name in English, of all captions.
        made_by: model, versions and search, in one line.
    """

    title: str
    count: int
    languages: Mapping[str, str]
    made_by: str


def write_page(path: Path, info: PageInfo, exhibits: Sequence[Exhibit]) -> None:
    """Write a page of pictures with their captions, completely or not at all.

    Args:
        path: replaced if it is such a page.
        exhibits: one picture is shown large, several as a contact sheet that opens each of them.

    Raises:
        ValueError: there is something else at the path.
    """
    check_target(path)
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_head(info, sum(exhibit.is_unknown for exhibit in exhibits)))
        for number, exhibit in enumerate(exhibits, 1):
            file.writelines(_article(number, exhibit, info))
        file.write(f"</div></main><footer>{escape(info.made_by)}</footer>\n")
        file.write(f"<script>{_script()}</script></body></html>\n")


def check_target(path: Path) -> None:
    """Refuse to write over anything but a page of this kind.

    Raises:
        ValueError: there is something else at the path.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give the page a name, such as {path / 'florenz.html'}")
    if path.exists() and _GENERATOR.encode() not in path.read_bytes()[:2000]:
        raise ValueError(f"{path} exists and is not a page of florenz show: give another name with --output")


def _head(info: PageInfo, unknown: int) -> Iterator[str]:
    digest = base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n{_GENERATOR}\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    # Without it, browsers ask the server for an icon.
    yield '<link rel="icon" href="data:,">\n'
    yield f"<title>{escape(_visible(info.title))} · Florenz</title>\n"
    yield f"<style>{(_HERE / 'page.css').read_text(encoding='utf-8')}</style></head>\n<body><header>"
    pictures = f" <small>{info.count} pictures</small>" if info.count > 1 else ""
    yield f"<h1>{escape(_visible(info.title))}{pictures}</h1>"
    if info.count > 1:
        yield '<nav class="way" aria-label="Pictures"><a href="#">All pictures</a><a>Back</a><a>Next</a></nav>'
        if len(info.languages) > 1:
            yield '<div class="tongues" role="group" aria-label="Language of the captions">'
            for index, code in enumerate(info.languages):
                pressed = str(not index).lower()
                yield f'<button lang="{escape(code)}" aria-pressed="{pressed}">{_name(code, info)}</button>'
            yield "</div>"
        if unknown:
            yield f'<p class="unknown sheet-only">{escape(_SOME_UNKNOWN.format(unknown, info.count))}</p>'
        yield f'<p class="hint sheet-only">{escape(_HINT)}</p>'
    yield "</header>\n<main><div>\n"


def _article(number: int, exhibit: Exhibit, info: PageInfo) -> Iterator[str]:
    name, first = escape(_visible(exhibit.name)), exhibit.sayings[0]
    encoded = base64.b64encode(exhibit.picture).decode()
    frame = ("a", f' href="#{number}"') if info.count > 1 else ("div", "")
    ratio = exhibit.shown[0] / exhibit.shown[1]
    yield f'<article aria-label="{name}" style="--ratio:{ratio:.3f}"><figure>'
    yield f'<{frame[0]} class="picture"{frame[1]}>'
    yield f'<img src="data:image/webp;base64,{encoded}" width="{exhibit.shown[0]}" height="{exhibit.shown[1]}" '
    yield f'alt="{escape(first.text)}"></{frame[0]}>'
    size = f"{exhibit.size[0]} × {exhibit.size[1]}"
    yield f'<figcaption><span class="readout" aria-live="polite"></span><span>{name}</span> <span>{size}</span>'
    yield "</figcaption>"
    yield '</figure><div class="sayings">'
    if exhibit.is_unknown:
        yield f'<p class="unknown stage-only">{escape(UNKNOWN)}</p>'
    for index, saying in enumerate(exhibit.sayings):
        yield from _saying(saying, info, chosen=not index)
    yield f'<p class="hint stage-only">{escape(_HINT)}</p>'
    yield from _numbers(exhibit)
    yield "</div></article>\n"


def _saying(saying: Saying, info: PageInfo, chosen: bool) -> Iterator[str]:
    maps = base64.b64encode(np.stack([word.places for word in saying.words]).tobytes()).decode()
    state = " chosen" if chosen else ""
    yield f'<div class="saying{state}" lang="{escape(saying.language)}" data-maps="{maps}">'
    yield f'<span class="tongue">{_name(saying.language, info)}</span><p dir="auto">'
    for word in saying.words:
        unsure = " unsure" if word.probability < _UNSURE else ""
        yield f'{escape(word.before)}<button class="word{unsure}" data-strength="{word.strength:.2f}" '
        yield f'title="{escape(_say(word))}">{escape(word.text)}</button>'
    yield f'</p><span class="sure" title="sure of a word, on average">{saying.certainty:.1%}</span></div>'


def _numbers(exhibit: Exhibit) -> Iterator[str]:
    yield "<details><summary>Numbers</summary><div class='wide' tabindex='0'><table>"
    yield f"<caption>{escape(_NUMBERS)}</caption><thead><tr>"
    yield "".join(f"<th>{name}</th>" for name in ("Word", "Sure", "Image", "Light")) + "</tr></thead>"
    for saying in exhibit.sayings:
        yield f'<tbody lang="{escape(saying.language)}">'
        for word in saying.words:
            yield f"<tr><td>{escape(word.text)}</td><td>{word.probability:.1%}</td><td>{word.share:.1%}</td>"
            yield f"<td>{word.strength:.2f}</td></tr>"
        yield "</tbody>"
    yield "</table></div></details>"


def _say(word: Word) -> str:
    bare = word.text.rstrip(",.:;。，、：") or word.text
    return f"“{bare}”: {word.probability:.0%} sure, {word.share:.0%} of its attention on places of the image"


def _name(code: str, info: PageInfo) -> str:
    return escape(OWN_NAMES.get(code) or info.languages[code].title())


def _visible(name: str) -> str:
    """Return the last part of a name, without what cannot be written or steers a page."""
    last = PurePath(name).name or name
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in last)


def _script() -> str:
    return (_HERE / "page.js").read_text(encoding="utf-8")
