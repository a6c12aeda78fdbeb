"""Lines for the terminal: past progress bars, without control characters, coloured only where somebody looks."""

import os
import sys
import unicodedata
from typing import TextIO


_CODES = {"dim": 2, "red": 31, "green": 32, "yellow": 33}


def one_line(text: str) -> str:
    """Escape the control characters of a text, so that it neither breaks a line nor steers the terminal."""
    if text.isprintable():
        return text
    unprintable = {char for char in text if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")}
    return "".join(repr(char)[1:-1] if char in unprintable else char for char in text)


def print_line(line: str, stream: TextIO) -> None:
    """Print a line at once, past any progress bar: it makes room and is drawn again below."""
    tqdm = sys.modules.get("tqdm")  # where it was never imported, no bar is there
    if tqdm is None:
        print(line, file=stream, flush=True)
    else:
        tqdm.tqdm.write(line, file=stream)
        stream.flush()


def paint(text: str, style: str, stream: TextIO) -> str:
    """Colour a text for a terminal; leave it as it is for a pipe, a file, `NO_COLOR` or a terminal without colours.

    Args:
        style: `dim`, `red`, `green` or `yellow`.
        stream: what it is written to.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"
