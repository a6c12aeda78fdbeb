"""Read what a model can be asked for from its processor alone."""

from collections.abc import Sequence

from ..processing_florenz import LANGUAGES, FlorenzProcessor


SOURCE_LANGUAGE = "en"  # the only one that was translated from in training


def known_languages(processor: FlorenzProcessor) -> list[str]:
    """List the languages a model can be asked for; see `Captioner.languages`."""
    known = list(LANGUAGES)
    return sorted(processor.languages, key=lambda code: known.index(code) if code in known else len(known))


def check_request(
    processor: FlorenzProcessor, languages: Sequence[str], task: str = "caption", via: str | None = None
) -> None:
    """Check what captions are asked for; see `Captioner.check_request`.

    Raises:
        ValueError: the model does not know the task or a language, or cannot translate from `via`.
    """
    if via not in (None, SOURCE_LANGUAGE):
        raise ValueError(
            f"captions cannot go by way of {via!r}: the model translates from English alone, so use "
            f"{SOURCE_LANGUAGE!r} or leave it out"
        )
    for language in [*languages, *([] if via is None else [via])]:
        processor.prompt(task, language)
