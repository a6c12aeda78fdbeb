"""`florenz` as a process of its own, also as `python -m modeling_florenz.cli`: signals, pipes and the exit code."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from . import main
from .exit_codes import CLOSED_PIPE, NOTHING_DONE, STOPPED


def run() -> NoReturn:
    """Run the command of this process and leave with its exit code."""
    signal.signal(signal.SIGINT, _interrupt)
    code: int | str | None
    try:
        code = main()
    except SystemExit as exit_:
        code = exit_.code
    except BrokenPipeError:
        code = CLOSED_PIPE
    except KeyboardInterrupt:
        code = STOPPED
    # Nothing is left to undo while Python shuts down.
    signal.signal(signal.SIGINT, _leave)
    sys.exit(_flush(code))


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Stop at once inside an import, where an exception can be taken for another one; elsewhere let it clean up."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            _leave()
        frame = frame.f_back
    raise KeyboardInterrupt


def _leave(*signal_and_frame: object) -> NoReturn:
    os._exit(STOPPED)


def _flush(code: int | str | None) -> int | str | None:
    """Write out what is buffered; where that fails, keep Python from trying once more and telling it."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return CLOSED_PIPE
        print(f"florenz: the output could not be written: {error}", file=sys.stderr)
        return NOTHING_DONE


if __name__ == "__main__":
    run()
