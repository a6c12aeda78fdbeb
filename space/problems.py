"""Show errors as sentences beside what caused them; results stay where they are."""

import functools
import html
import inspect
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import gradio as gr
import torch
from escaped import capital, note, trouble


MEMORY = "The machine ran out of memory over this: try a smaller picture, or the same again in a minute."
UNFORESEEN = "Something went wrong here: try again, or try another picture."
STOPPED = "Stopped: what was written until then stays."
EXAMPLE = "This example was written when the Space started: change it, or choose a picture of your own."


def as_sentence(error: Exception) -> str:
    """Tell an error in one sentence for visitors; one that nobody foresaw is printed for whoever runs the Space."""
    if isinstance(error, gr.Error):
        sentence = html.unescape(str(error.message))  # Gradio's own messages are HTML
    elif isinstance(error, ValueError):
        sentence = str(error)
    elif isinstance(error, MemoryError | torch.OutOfMemoryError):
        sentence = MEMORY
    else:
        traceback.print_exception(error)
        sentence = UNFORESEEN
    return capital(sentence) + ("" if sentence.endswith(".") else ".")


def problem_line(begins_finished: bool = False) -> gr.HTML:
    """Make the line in which a tab shows errors; until then it says what the tab began with, if anything."""
    return gr.HTML(note(EXAMPLE) if begins_finished else "", padding=False, elem_classes="florenz-line")


def with_problems_shown(run: Callable[..., Any], results: int, cancel: bool = False) -> Callable[..., Any]:
    """Let a function return errors as a line after its results, which then stay as they are.

    Args:
        results: how many the function returns.
        cancel: whether a button follows the line, which can be pressed as long as a generator runs.
    """
    stay = tuple(gr.skip() for _ in range(results))

    if not inspect.isgeneratorfunction(run):

        @functools.wraps(run)
        def tell(*given: Any) -> tuple[Any, ...]:
            try:
                return (*_as_tuple(run(*given), results), "")
            except Exception as error:
                return (*stay, trouble(as_sentence(error)))

        return tell

    can, cannot = ((gr.update(interactive=True),), (gr.update(interactive=False),)) if cancel else ((), ())

    @functools.wraps(run)
    def tell_growing(*given: Any) -> Iterator[tuple[Any, ...]]:
        yield (*stay, "", *can)
        # What is on its way while somebody cancels leaves the line and the button alone.
        line: Any = gr.skip()
        button = tuple(gr.skip() for _ in can)
        try:
            for found in run(*given):
                yield (*_as_tuple(found, results), gr.skip(), *button)
        except Exception as error:
            line = trouble(as_sentence(error))
        yield (*stay, line, *cannot)

    return tell_growing


def offer(
    start: Sequence[Any],
    run: Callable[..., Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    line: gr.HTML,
    api_name: str,
    shown_on: Any,
    cancel: gr.Button | None = None,
    trigger_mode: Literal["once", "always_last"] = "once",
) -> Any:
    """Run what a tab is for when visitors start it, and for clients by its name, which receive errors as errors.

    Args:
        start: events, such as `button.click`.
        line: see `problem_line`.
        shown_on: the components that show progress.
        cancel: see `with_problems_shown`.
        trigger_mode: what becomes of another start meanwhile: it is passed over, or the last one runs afterwards.

    Returns:
        The event, to be cancelled by.
    """
    call = gr.Button(visible=False)
    call.click(_for_clients(run), inputs, outputs, api_name=api_name, concurrency_id="model")
    return gr.on(start, **wired(run, inputs, outputs, line, shown_on, cancel, trigger_mode))


def wired(
    run: Callable[..., Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    line: gr.HTML,
    shown_on: Any,
    cancel: gr.Button | None = None,
    trigger_mode: Literal["once", "always_last"] = "once",
) -> dict[str, Any]:
    """Return the arguments of an event of visitors that runs in the model's line; see `offer`."""
    return {
        "fn": with_problems_shown(run, len(outputs), cancel is not None),
        "inputs": inputs,
        "outputs": [*outputs, line, *([] if cancel is None else [cancel])],
        "api_visibility": "private",
        "concurrency_id": "model",
        "show_progress_on": shown_on,
        "trigger_mode": trigger_mode,
    }


def stop_by(cancel: gr.Button, events: Sequence[Any], line: gr.HTML) -> None:
    """Let a button stop events, and say so in the line."""
    said = (trouble(STOPPED), gr.update(interactive=False))
    cancel.click(lambda: said, None, [line, cancel], cancels=list(events), api_visibility="private", queue=False)


def _for_clients(run: Callable[..., Any]) -> Callable[..., Any]:
    def refuse(error: Exception) -> gr.Error:
        return gr.Error(html.escape(as_sentence(error)), print_exception=False)

    if not inspect.isgeneratorfunction(run):

        @functools.wraps(run)
        def call(*given: Any) -> Any:
            try:
                return run(*given)
            except Exception as error:
                raise refuse(error) from None

        return call

    @functools.wraps(run)
    def call_growing(*given: Any) -> Iterator[Any]:
        try:
            yield from run(*given)
        except Exception as error:
            raise refuse(error) from None

    return call_growing


def _as_tuple(found: Any, results: int) -> tuple[Any, ...]:
    return (found,) if results == 1 else tuple(found)
