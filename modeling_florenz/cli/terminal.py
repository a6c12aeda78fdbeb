"""What every command owes the terminal: UTF-8, quiet libraries, one sentence and an exit code for what goes wrong."""

import argparse
import io
import logging
import os
import sys
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from wrapt import register_post_import_hook

from ..extras import install_command


STOPPED = 130
# The extra that brings what a command imports beyond the package's own dependencies.
EXTRAS = {
    "train": "train",
    "evaluate": "eval",
    "compare": "eval",
    "card": "train",
    "dataset": "train",
    "space": "space",
}
_PACKAGE = str(Path(__file__).resolve().parents[1])


def run_command(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """Parse and run; turn what goes wrong into one sentence and an exit code.

    Raises:
        SystemExit: by the parser, for help and for arguments that do not fit.
        BrokenPipeError: nobody reads the output any more.
    """
    use_utf8()
    arguments = parser.parse_args(argv)
    with quiet_libraries(arguments.verbose):
        try:
            return arguments.run(arguments)
        except BrokenPipeError:
            raise
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if arguments.command not in EXTRAS or missing == __name__.partition(".")[0]:
                raise
            advice = install_command(EXTRAS[arguments.command])
            return _fail(f"{arguments.command} needs {missing}, which is not installed: {advice}")
        except (ValueError, OSError) as error:
            return _fail(" ".join(str(error).split()) or type(error).__name__)
        except KeyboardInterrupt:
            return STOPPED


def use_utf8() -> None:
    """Write UTF-8 whatever the terminal asks for, and escape what is not text, such as bytes in a file's name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def one_line(text: str) -> str:
    """Escape the control characters of a text, so that it neither breaks a line nor steers the terminal."""
    if text.isprintable():
        return text
    unprintable = {char for char in text if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")}
    return "".join(repr(char)[1:-1] if char in unprintable else char for char in text)


@contextmanager
def quiet_libraries(verbose: bool) -> Iterator[None]:
    """Let only the package itself warn and log on stderr, one line each; with `verbose` the libraries too."""
    own = logging.getLogger(__name__.partition(".")[0])
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("florenz: %(message)s"))
    silence = logging.NullHandler()  # without any handler, Python itself prints warnings
    own.addHandler(handler)
    if not verbose:
        logging.getLogger().addHandler(silence)
        os.environ["TORCH_CPP_LOG_LEVEL"] = "ERROR"
        register_post_import_hook(_quiet_transformers, "transformers.utils.logging")
        register_post_import_hook(_quiet_hub, "huggingface_hub.utils.logging")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warner(verbose)
            yield
    finally:
        own.removeHandler(handler)
        logging.getLogger().removeHandler(silence)


def _quiet_transformers(module: ModuleType) -> None:
    module.set_verbosity_error()
    module.disable_progress_bar()


def _quiet_hub(module: ModuleType) -> None:
    module.set_verbosity_error()


def _warner(verbose: bool):  # noqa: ANN202
    def show(message: Warning | str, category: type[Warning], filename: str, *rest: object, **more: object) -> None:
        if verbose or filename.startswith(_PACKAGE):
            print(f"florenz: {message}", file=sys.stderr)

    return show


def _fail(sentence: str) -> int:
    print(f"florenz: {sentence}", file=sys.stderr)
    return 2
