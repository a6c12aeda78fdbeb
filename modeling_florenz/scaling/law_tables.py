"""Lay out a report of laws, and the results of the studies, as the tables and sentences of the page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..card_template import table
from ..data.emoji_scenes.wording import LANGUAGES
from .law_file import stored_law
from .law_rows import GROUPS, Cell, columns
from .law_text import offset_words, slope
from .laws import residuals


TITLES = {
    "unseen_captioning": "captions, languages never captioned",
    "seen_translation": "translations",
    "seen_captioning": "captions, captioned languages",
}


def laws_table(report: Mapping[str, Any]) -> str:
    """Return a row for each group of losses: slopes with intervals, R², offset, and how far seeds differ."""
    rows = []
    for group in GROUPS:
        found = report["groups"][group]
        law = found["size_samples"]["parameters"]["law"]
        compute = found["compute"]["compute"]
        on_front = slope(compute["law"], "compute") if "law" in compute else "not fitted"
        spread = found["seed_spread"]
        rows.append(
            (
                TITLES[group],
                slope(law, "parameters"),
                slope(law, "samples"),
                f"{law['r_squared']:.3f}",
                offset_words(found["size_samples"]["parameters"]["with_offset"]).split(";")[0],
                f"{on_front}, {len(compute['front'])} cells",
                "" if spread is None else f"{spread['factor']:.3f}",
            )
        )
    head = ("loss", "parameters", "samples", "R²", "offset", "compute, on the front", "seeds differ by a factor of")
    return table(rows, head)


def others_sentence(report: Mapping[str, Any]) -> str:
    """Say what other variables give for captions in languages never captioned."""
    found = report["groups"]["unseen_captioning"]
    without = slope(found["size_samples"]["without_embeddings"]["law"], "without_embeddings")

    def words(law: Mapping[str, Any], term: str) -> str:
        return slope(law["law"], term) if "law" in law else "not fitted"

    backward = words(found["compute"]["backward"], "backward")
    captioned = words(found["captioned"], "captioned")
    return (
        f"For captions in languages never captioned, the slope of parameters is {without} with the tables of "
        f"embeddings left out, that of compute {backward} with two products in backward for each in forward, and that "
        f"of the share of languages captioned, as a third variable, {captioned}."
    )


def held_out_table(report: Mapping[str, Any]) -> str:
    """Return a row for each group and check: cells in the band, and by what factor law and baselines are wrong."""
    rows = []
    for group in GROUPS:
        for name, check in report["groups"][group]["held_out"].items():
            if "refused" in check:
                rows.append((TITLES[group], name, "not checked", "", "", ""))
                continue
            errors = [f"{10 ** check['errors'][title]:.2f}" for title in ("law", "constant", "nearest")]
            rows.append((TITLES[group], name, f"{check['in_band']} of {len(check['cells'])}", *errors))
    return table(rows, ("loss", "fitted", "in the band", "law", "mean of the cells", "nearest smaller run"))


def bend_sentences(report: Mapping[str, Any]) -> list[str]:
    """Say for each group where cells of the shortest, the longest and the other runs are relative to the law."""
    cells = [Cell(**cell) for cell in report["cells"]]
    steps = np.array([cell.steps for cell in cells])
    sentences = []
    for group in GROUPS:
        law = stored_law(dict(report), group, "size_samples", "parameters")
        loss = np.array([cell.loss(group) for cell in cells])
        off = residuals(law, columns(cells, "parameters", "samples"), loss)
        short, long = steps == steps.min(), steps == steps.max()
        first, middle, last = (10 ** off[chosen].mean() for chosen in (short, ~(short | long), long))
        title = f"{TITLES[group][0].upper()}{TITLES[group][1:]}"
        sentences.append(
            f"{title}: losses are {first:.2f} times the law's after the shortest runs, {middle:.2f} times after those "
            f"between, {last:.2f} times after the longest; a law that is a straight line leaves 1."
        )
    return sentences


def calibration_table(results: Mapping[str, Any]) -> str:
    """Return a row for each model: the expected calibration error by language, then by the share covered."""
    rows = []
    for name, model in results["models"].items():
        found = model["languages"]
        shares = list(found["en"]["covered"])
        by_share = [sum(found[one]["covered"][share]["ece"] for one in LANGUAGES) / len(LANGUAGES) for share in shares]
        own = [found[one]["all"]["ece"] for one in LANGUAGES]
        rows.append((name, *(f"{value:.3f}" for value in (*own, *by_share))))
    covered = [f"{float(share):.0%} covered" for share in shares]
    return table(rows, ("ECE", *LANGUAGES, *covered))


def word_to_thing_sentence(results: Mapping[str, Any]) -> str:
    """Say what share of the things the words of the first model are tied to, language by language."""
    name, model = next(iter(results["models"].items()))
    trained, untrained = (model["shares"][kind] for kind in ("trained", "untrained"))

    def values(found: Mapping[str, Any], what: str) -> str:
        return ", ".join(f"{language} {found[language][what]:.3f}" for language in LANGUAGES)

    count, chance = trained["en"]["things"], trained["en"]["chance"]
    return (
        f"Taken out of the image, a thing takes its name with it: of {count} things, the name that loses most "
        f"log-probability in {name} is the thing's in {values(trained, 'right')}. By the place where cross-attention "
        f"rests, it is {values(trained, 'attention')}. Chance is {chance:.3f}; untrained, the model finds "
        f"{values(untrained, 'right')}."
    )


def prefix_sentences(results: Mapping[str, Any]) -> list[str]:
    """Say in which models and languages the whole prefix does what the paper saw, and in which it does not."""
    lifted: list[str] = []
    not_lifted: list[str] = []
    good: list[str] = []
    for name, model in results["models"].items():
        for language, done in model["reproduced"].items():
            steps = model["right"][language]
            change = f"{name} in {language} ({steps[0]['language']:.3f} to {steps[-1]['language']:.3f})"
            (lifted if done else not_lifted).append(change)
        if not model["reproduced"]:
            good.append(name)
    parts = []
    if lifted:
        parts.append(f"The whole prefix brings the language back in {_listed(lifted)}.")
    if not_lifted:
        parts.append(f"It lifts it by less than 0.3 in {_listed(not_lifted)}.")
    if good:
        parts.append(
            f"Nothing is left to lift, as half of the captions or more are in the language, in {_listed(good)}."
        )
    turned = [
        (name, language, model["wrong"][language][-1])
        for name, model in results["models"].items()
        for language in LANGUAGES
    ]
    share = sum(step["other"] > 0.5 for _, _, step in turned)
    parts.append(
        f"The whole prefix of another language turns most captions into that language in {share} of {len(turned)} "
        "models and languages."
    )
    return parts


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
