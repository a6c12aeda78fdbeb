"""Run the steps of a recipe one after the other, and make a dataset folder of what they leave."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..data.files import read_json_lines
from ..inference.ray_cluster import connect
from ..resumable import DISK_FULL, hold, whole_file, whole_folder
from .archives import ENDINGS, write_archive
from .assemble import AssembleRows, assemble_batches
from .closest_pairs import ClosestPairs
from .deduplicate import DropImages, drop_batches
from .describe import DescribeImages
from .embed import EmbedImages
from .evaluation_sets import EvaluationSets
from .match import MatchPairs, match_batches
from .recipe import Recipe
from .run_step import run_step
from .shards import Finished, Skipped, batches_of
from .sources import PAIRS_PER_IMAGE, ReadImages, ReadPairs, check_lines, image_batches, pair_batches
from .translate import TranslateTexts


@dataclass(frozen=True)
class Synthesis:
    """Hold what a run made.

    Args:
        folder: the dataset.
        steps: that ran, in order.
        tested: the evaluation sets that were compared.
    """

    folder: Path
    steps: list[Finished]
    tested: EvaluationSets

    def skipped(self) -> Iterator[tuple[str, Skipped]]:
        """Yield all rows that were left out, with the step."""
        for step in self.steps:
            yield from ((step.name, entry) for entry in step.skipped())

    @property
    def faults(self) -> int:
        """Count the rows that were left out because something is broken."""
        return sum(entry.fault for _, entry in self.skipped())

    def table(self) -> list[tuple[str, str, int]]:
        """Count what was left out by step and reason."""
        return [
            (step.name, reason, count)
            for step in self.steps
            for reason, count in sorted(step.reasons().items(), key=lambda entry: (-entry[1], entry[0]))
        ]


def work_folder(folder: Path) -> Path:
    """Return where the shards of the steps are: beside the dataset."""
    return folder.with_name(f"{folder.name}.work")


def synthesize(recipe: Recipe, folder: Path, processes: int = 1, limit: int = 0) -> Synthesis:
    """Run a recipe; shards that are there are kept.

    Args:
        recipe: what to do.
        folder: the dataset, which is there whole or not at all; `FOLDER.work` holds the shards.
        processes: that work side by side where no model is asked; on a Ray cluster also actors that ask models.
        limit: use only so many images, and sentence pairs of each file; 0 for all.

    Raises:
        ValueError: see the steps; all shards that are finished stay.
    """
    from .card import write_card

    if recipe.ray:  # other machines have other working folders
        connect(recipe.ray)
        folder = folder.absolute()
    work = work_folder(folder)
    with hold(folder.with_name(f"{folder.name}.synthesis")), _full_disk_told(work):
        _check_replaceable(folder)
        work.mkdir(parents=True, exist_ok=True)
        for left in work.glob("*/*.partial"):
            with suppress(OSError):
                left.unlink()
        run = _run(recipe, work, folder, processes, limit)
        with (
            whole_file(work / "skipped.jsonl") as partial,
            partial.open("w", encoding="utf-8", errors="replace") as file,
        ):
            for step, entry in run.skipped():
                file.write(json.dumps({"step": step, **vars(entry)}, ensure_ascii=False) + "\n")
        rows = run.steps[-1]
        if not sum(rows.counts):
            raise ValueError(f"nothing is left to train on: {work / 'skipped.jsonl'} says what was left out, and why")
        with whole_folder(folder, replace=True) as partial:
            paths = [path for path, count in zip(rows.paths, rows.counts, strict=True) if count]
            (partial / "data").mkdir()
            place = _link if recipe.format == "parquet" else write_archive
            for number, path in enumerate(paths):
                name = f"train-{number:05d}-of-{len(paths):05d}.{ENDINGS[recipe.format]}"
                place(path, partial / "data" / name)
            write_card(recipe, run, partial)
        return run


def _run(recipe: Recipe, work: Path, folder: Path, processes: int, limit: int) -> Synthesis:
    total = check_lines(recipe.bitexts)
    tested = EvaluationSets(recipe.decontaminate.data_folder, list(recipe.decontaminate.skip))
    captions = read_captions(recipe.images.captions)
    # Steps with a model: one at a time on this machine, on a cluster as many as are asked for.
    ask = partial(run_step, work=work, processes=processes if recipe.ray else 1, ray=recipe.ray)
    images = run_step(ReadImages(), image_batches(recipe.images, recipe.shard, limit), work, processes)
    if not sum(images.counts):
        first = next((entry.detail for entry in images.skipped()), "images.paths names none")
        raise ValueError(f"no image could be read: {first}")
    kept = run_step(DropImages(tested), drop_batches(images), work, 1, sum(images.counts))
    steps, said, matched = [images, kept], None, None
    if recipe.describe:
        columns = ("key", "name", "bytes")
        describe = DescribeImages(recipe.describe, recipe.filter)
        described = ask(describe, batches_of([images, kept], columns, ["key"]), total=sum(kept.counts))
        translate = TranslateTexts(recipe.translate, captions)
        batches = batches_of([described, images], ["key", "text"], ["key", "name"])
        said = ask(translate, batches, total=sum(described.counts))
        steps += [described, said]
    if recipe.match:
        languages = recipe.assemble.translations
        read = ReadPairs(recipe.filter, tuple(recipe.languages), tested)
        size = recipe.shard * PAIRS_PER_IMAGE
        found = run_step(read, pair_batches(recipe.bitexts, languages, size, limit), work, processes, total)
        embed = EmbedImages(recipe.match.model, recipe.match.batch_size)
        columns = ("key", "name", "bytes")
        vectors = ask(embed, batches_of([images, kept], columns, ["key"]), total=sum(kept.counts))
        match = MatchPairs(recipe.match, vectors.paths)
        matched = ask(match, match_batches(found, vectors), total=sum(found.counts))
        steps += [found, vectors, matched]
    nsfw = bool(recipe.images.nsfw)
    assemble = AssembleRows(recipe.assemble, recipe.seed, recipe.filter.min_characters, nsfw)
    with _closest(matched, recipe, work) as pairs:
        rows = run_step(assemble, assemble_batches(images, kept, said, pairs), work, processes, sum(kept.counts))
    return Synthesis(folder, [*steps, rows], tested)


@contextmanager
def _full_disk_told(work: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise ValueError(
            f"the disk of {work} is full: make room and run the command again, finished shards are kept"
        ) from None


def _write_skipped(run: Synthesis, path: Path) -> None:
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", errors="replace") as file:
        for step, entry in run.skipped():
            file.write(json.dumps({"step": step, **vars(entry)}, ensure_ascii=False) + "\n")


def _closest(matched: Finished | None, recipe: Recipe, work: Path) -> AbstractContextManager[ClosestPairs | None]:
    if matched is None or recipe.match is None:
        return nullcontext()
    return ClosestPairs(work / "pairs.sqlite", matched.read(), recipe.match.cap)


def read_captions(path: str) -> dict[str, list[str]]:
    """Read English captions by the name of the image's file; none without a path.

    Raises:
        ValueError: a line has no image or text.
    """
    found: dict[str, list[str]] = {}
    for where, record in _records(path):
        name, text = (record.get(key) for key in ("image", "text")) if isinstance(record, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(text, str) or not text.strip():
            raise ValueError(
                f"{where} needs image and text: write lines such as {{'image': 'a.jpg', 'text': 'A dog.'}}"
            )
        found.setdefault(name.rpartition("/")[2], []).append(" ".join(text.split()))
    return found


def _records(path: str) -> Iterator[tuple[str, object]]:
    return read_json_lines(Path(os.path.expanduser(path))) if path else iter(())


def _check_replaceable(folder: Path) -> None:
    # Only what a recipe made is replaced.
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "statistics.json").is_file():
        raise ValueError(f"{folder} holds something else than a synthesized dataset: give another --output")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
