"""COMET of translations, where unbabel-comet is installed."""

from collections.abc import Sequence


COMET_MODEL = "Unbabel/wmt22-comet-da"


def comet(sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """Score each translation from 0 to 100 by the paper's COMET model.

    Raises:
        ValueError: unbabel-comet is not installed, or the lists differ in length.
    """
    if not sources or not len(sources) == len(hypotheses) == len(references):
        raise ValueError("sources, translations and references must be lists of one length: give one each")
    try:
        from comet import download_model, load_from_checkpoint
    except ImportError:
        raise ValueError(f"COMET needs its library, which fetches {COMET_MODEL}: pip install unbabel-comet") from None
    columns = zip(sources, hypotheses, references, strict=True)
    data = [{"src": source, "mt": text, "ref": reference} for source, text, reference in columns]
    found = load_from_checkpoint(download_model(COMET_MODEL)).predict(data, batch_size=8, progress_bar=False)
    return [100 * float(score) for score in found.scores]
