"""What every command owes the terminal: UTF-8, quiet libraries, one sentence and an exit code for what goes wrong."""

import argparse
import ctypes
import importlib.util
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from wrapt import register_post_import_hook

from ..extras import install_command
from .exit_codes import NOTHING_DONE, STOPPED
from .lines import paint, print_line


# The extra that a command needs, and the modules of it that are looked for before the command starts.
EXTRAS = {
    "serve": ("serve", ("litserve", "prometheus_client")),
    "train": ("train", ("accelerate", "datasets", "peft")),
    "evaluate": ("eval", ("datasets", "py3langid", "sacrebleu")),
    "compare": ("eval", ("datasets", "py3langid", "sacrebleu")),
    "export": ("onnx", ("onnx", "onnxscript", "onnxruntime")),
    "card": ("train", ("datasets",)),
    "dataset": ("train", ("datasets",)),
    "scaling": ("train", ("accelerate",)),
    "synthesize": (
        "synthesis",
        ("datasets", "pyarrow", "sentencex", "faiss", "imagehash", "datasketch", "py3langid", "httpx"),
    ),
    "space": ("space", ("gradio",)),
}
# How torch says it, on a GPU and on a CPU; it is imported only by the commands that need it.
_MEMORY = re.compile(r"OutOfMemoryError|out of memory|DefaultCPUAllocator")
_PACKAGE = str(Path(__file__).resolve().parents[1])


def run_command(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """Parse and run; turn what goes wrong into one sentence and an exit code.

    Raises:
        SystemExit: by the parser, for help and for arguments that do not fit.
        BrokenPipeError: nobody reads the output any more.
    """
    use_utf8()
    try:
        arguments = parser.parse_args(argv)
        with quiet_libraries(arguments.verbose):
            _check_extra(arguments.command)
            return arguments.run(arguments)
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        return _refuse(str(error) or type(error).__name__)
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or _MEMORY.search(f"{type(error).__name__}: {error}")):
            raise
        return _refuse(
            "the memory is not enough: take a smaller model, or what the command has of --quantize int4, --beams 1 or "
            "a smaller --batch-size; florenz doctor says how much is free"
        )
    except KeyboardInterrupt:
        return STOPPED


def _refuse(sentence: str) -> int:
    name = paint("florenz:", "red", sys.stderr)
    print_line(f"{name} {' '.join(sentence.split())}", sys.stderr)
    return NOTHING_DONE


def use_utf8() -> None:
    """Write UTF-8 whatever the terminal asks for, and escape what is not text, such as bytes in a file's name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print_line(self.format(record), sys.stderr)


@contextmanager
def quiet_libraries(verbose: bool) -> Iterator[None]:
    """Let only the package itself warn and log on stderr, one line each; with `verbose` the libraries too."""
    own = logging.getLogger(__name__.partition(".")[0])
    handler = _Handler()
    handler.setFormatter(logging.Formatter("florenz: %(message)s"))
    silence = logging.NullHandler()  # without any handler, Python itself prints warnings
    own.addHandler(handler)
    if not verbose:
        logging.getLogger().addHandler(silence)
        os.environ["TORCH_CPP_LOG_LEVEL"] = "ERROR"
        register_post_import_hook(_quiet_torch, "torch._logging")  # it has handlers of its own
        register_post_import_hook(_quiet_transformers, "transformers.utils.logging")
        register_post_import_hook(_quiet_hub, "huggingface_hub.utils.logging")
        register_post_import_hook(_quiet_libtiff, "PIL._imaging")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warner(verbose)
            yield
    finally:
        own.removeHandler(handler)
        logging.getLogger().removeHandler(silence)


def _quiet_torch(module: ModuleType) -> None:
    module.set_logs(all=logging.ERROR)


def _quiet_transformers(module: ModuleType) -> None:
    module.set_verbosity_error()
    module.disable_progress_bar()


def _quiet_hub(module: ModuleType) -> None:
    module.set_verbosity_error()


def _quiet_libtiff(module: ModuleType) -> None:
    # It writes to stderr itself, without the file's name; PIL raises what goes wrong.
    with suppress(OSError, AttributeError):  # where libtiff's functions are hidden in PIL's module, as on Windows
        library = ctypes.CDLL(str(module.__file__))
        library.TIFFSetWarningHandler(None)
        library.TIFFSetErrorHandler(None)


def _warner(verbose: bool) -> Callable[..., None]:
    def show(message: Warning | str, category: type[Warning], filename: str, *rest: object, **more: object) -> None:
        if verbose or filename.startswith(_PACKAGE):
            print_line(f"florenz: {message}", sys.stderr)

    return show


def _check_extra(command: str) -> None:
    extra, modules = EXTRAS.get(command, ("", ()))
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ValueError(f"{command} needs {module}, which is not installed: {install_command(extra)}")
