"""The command `florenz caption`."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import TASKS, add_beams, add_model, at_least_one, check_writable, print_record
from .captioners import open_captioner, plan_actors
from .exit_codes import DONE, NOTHING_DONE, SOME_FAILED
from .lines import one_line, paint, print_line


if TYPE_CHECKING:
    from ..inference.bulk import CaptionedImage
    from ..inference.bulk_options import BulkOptions
    from ..inference.captioner import Captioner
    from ..inference.crew import ProcessCrew
    from ..inference.kept_captions import CaptionsFile
    from ..inference.ray_crew import RayCrew
    from ..inference.sidecars import Sidecars


TABLES = (".jsonl", ".parquet")
ABOUT = """Write captions of images: of files, folders, patterns, lists, tables, archives.

  florenz caption photo.jpg --language de,fr
  florenz caption photos --recursive --language all --output captions.jsonl
  find photos -name "*.png" | florenz caption - --sidecar

What --output and --sidecar hold already is not made again. Images that cannot
be read are named and skipped."""


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    caption = commands.add_parser(
        "caption",
        help="caption images, folders, lists, tables and archives of images",
        usage="florenz caption IMAGE... [options]",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    caption.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="file, folder, pattern, .parquet, .tar, hf://datasets/OWNER/NAME; - for an image or a list on stdin",
    )
    words = caption.add_argument_group("what is written")
    words.add_argument("--language", default="en", help="ISO 639-1 codes such as de,fr, or all (default: en)")
    words.add_argument(
        "--task", type=_tasks, default=TASKS[:1], help=f"of {', '.join(TASKS)}, several with commas (default: caption)"
    )
    words.add_argument("--prepend", default="", metavar="TEXT", help="put these words before every caption")
    words.add_argument("--append", default="", metavar="TEXT", help="put these words after every caption")
    words.add_argument(
        "--prefix",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="start the decoder with the first words of a caption in that language; they are not printed",
    )
    words.add_argument("--via", choices=("en",), help="caption in English, then translate that beside the image")
    files = caption.add_argument_group("many images")
    files.add_argument("--recursive", action="store_true", help="look into the folders within folders too")
    where = files.add_mutually_exclusive_group()
    where.add_argument("--output", type=Path, metavar="FILE", help="write to .jsonl or .parquet, and go on in it")
    where.add_argument("--sidecar", action="store_true", help="write photo.txt beside photo.jpg")
    files.add_argument("--overwrite", action="store_true", help="caption again what is done already")
    files.add_argument("--batch-size", type=at_least_one, default=8, help="images at a time (default: 8)")
    files.add_argument("--workers", type=at_least_one, help="threads that read images (default: all cores but one)")
    files.add_argument(
        "--processes",
        type=at_least_one,
        help="that caption side by side, each with the model (default: one for each GPU, or one)",
    )
    files.add_argument(
        "--ray", metavar="ADDRESS", help="caption in actors of a Ray cluster; local for one on this machine"
    )
    files.add_argument(
        "--fast-decode",
        action="store_true",
        help="decode JPEGs of four times the model's size and more at a smaller scale: 6 times as fast at 12 MP, "
        "and 1 of 78 captions of 13 photos changed (florenz-tiny, six languages)",
    )
    files.add_argument("--image-column", default="image", metavar="NAME", help="of a parquet table (default: image)")
    files.add_argument("--split", default="train", help="of a dataset on the Hub, or CONFIG/SPLIT (default: train)")
    model = caption.add_argument_group("the model and how it is asked")
    add_model(model)
    add_beams(model)
    caption.add_argument("-h", action=_ShortHelp, nargs=0, help="what the command does, in ten lines")
    caption.add_argument("--help", action="help", help="that, and every option")
    caption.set_defaults(run=_caption)


class _ShortHelp(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *given: object) -> None:
        print(f"{parser.format_usage()}\n{ABOUT} Every option: florenz caption --help")
        parser.exit()


def _tasks(value: str) -> tuple[str, ...]:
    tasks = tuple(value.split(","))
    if len(set(tasks)) < len(tasks) or not set(tasks) <= set(TASKS):
        raise ValueError
    return tasks


_tasks.__name__ = f"list of {', '.join(TASKS)}"  # argparse names it in its sentence


def _caption(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ..data.image_inputs import ARCHIVE, HUB, TABLE, ImageInput, find_image_inputs
    from ..data.images import open_image
    from ..inference.bulk import caption_in_bulk
    from ..inference.kept_captions import failures_file

    _check_output(arguments)
    plan = plan_actors(arguments)
    stream = None if sys.stdin is None else sys.stdin.buffer
    images: Iterator[ImageInput] = find_image_inputs(
        arguments.images, arguments.recursive, arguments.image_column, stream, split=arguments.split
    )
    total = None
    # What comes as a stream is not waited for to its end, only long enough to see whether it is a single image.
    streamed = any(
        entry.lower().endswith((TABLE, ARCHIVE)) or entry == "-" or entry.startswith(HUB) for entry in arguments.images
    )
    found = list(islice(images, 2)) if streamed else list(images)
    if not streamed or len(found) < 2:
        total = sum(not image.passed_over for image in found)
        if len(found) == 1:  # what is wrong with its name is said before the model is loaded
            if (problem := found[0].problem) is not None:
                raise ValueError(problem)
            if (path := found[0].path) is not None and not os.path.exists(path):
                open_image(path, found[0].name)
    images = chain(found, images)
    single = len(arguments.images) == 1 and not os.path.isdir(arguments.images[0]) and total == 1
    counts = dict.fromkeys(("done", "skipped", "passed over"), 0)
    with (
        open_captioner(arguments, plan, total) as (captioner, options),
        _kept(arguments, captioner, options) as kept,
        tqdm(
            total=total, unit=" images", dynamic_ncols=True, disable=None if total is None or total > 1 else True
        ) as bar,
    ):
        for block in caption_in_bulk(captioner, images, options, kept):
            if kept is not None:
                block = kept.add(block)
            for image in block:
                if single and image.problem is not None:
                    raise ValueError(image.problem)  # the only one: its failure is the command's
                _report(arguments, options, image, total, bar, counts)
    if arguments.output is not None and counts["skipped"]:
        print_line(f"florenz: {failures_file(arguments.output)} says what was skipped, and why", sys.stderr)
    if not single:
        print_line(f"florenz: {', '.join(f'{count} {name}' for name, count in counts.items())}", sys.stderr)
    if not counts["done"]:
        return NOTHING_DONE
    return SOME_FAILED if counts["skipped"] else DONE


def _report(
    arguments: argparse.Namespace,
    options: "BulkOptions",
    image: "CaptionedImage",
    total: int | None,
    bar: Any,
    counts: dict[str, int],
) -> None:
    state = "passed over" if image.image.passed_over else "done" if image.problem is None else "skipped"
    counts[state] += 1
    bar.update(not image.image.passed_over)
    if image.problem is not None:
        print_line(f"florenz: {paint(state, 'yellow', sys.stderr)}: {one_line(image.problem)}", sys.stderr)
    if arguments.output is not None or arguments.sidecar:
        return
    for (task, language), text in image.captions.items():
        text = f"{arguments.prepend}{text}{arguments.append}"
        record = {"image": image.image.name, "task": task, "language": language, "text": text}
        if options.via is not None:
            record["via"] = options.via
        columns = [image.image.name] * (total != 1) + [task] * (len(options.tasks) > 1) + [language, text]
        print_record(arguments, record, *columns)


def _check_output(arguments: argparse.Namespace) -> None:
    output: Path | None = arguments.output
    if arguments.json and (output or arguments.sidecar):
        raise ValueError("--json is for what is printed: with --output or --sidecar nothing is, so leave it out")
    if output is None:
        if arguments.overwrite and not arguments.sidecar:
            raise ValueError("--overwrite is for --output and --sidecar: without them nothing is kept")
        return
    if output.suffix.lower() not in TABLES:
        raise ValueError(f"--output is {output}: end its name in {' or '.join(TABLES)}")
    check_writable(output)
    if any(os.path.exists(entry) and output.exists() and output.samefile(entry) for entry in arguments.images):
        raise ValueError(f"--output is {output}, which is to be read: give another name")


@contextmanager
def _kept(
    arguments: argparse.Namespace, captioner: "Captioner | ProcessCrew | RayCrew", options: "BulkOptions"
) -> Iterator["CaptionsFile | Sidecars | None"]:
    from ..inference.block_writer import made_by
    from ..inference.captioner import Captioner
    from ..inference.kept_captions import Wrapped, keep_captions
    from ..inference.sidecars import Sidecars
    from ..resumable import DISK_FULL

    wrapped = Wrapped(arguments.prepend, arguments.append)
    try:
        if arguments.output is not None:
            made = made_by(captioner) if isinstance(captioner, Captioner) else captioner.made_by
            with keep_captions(arguments.output, made, options, wrapped, arguments.overwrite) as kept:
                yield kept
        elif arguments.sidecar:
            keys = [(task, language) for task in options.tasks for language in options.languages]
            yield Sidecars(keys, wrapped, arguments.overwrite)
        else:
            yield None
    except OSError as error:
        if isinstance(error, BrokenPipeError) or not (arguments.output or arguments.sidecar):
            raise
        place = arguments.output or "a text file beside an image"
        if error.errno not in DISK_FULL:
            raise ValueError(f"{place} could not be written: {error.strerror or error}: give another place") from None
        raise ValueError(
            f"the disk is full, so {place} could not be written to its end: make room, and the same command goes on"
        ) from None
    except KeyboardInterrupt:
        if arguments.output is not None or arguments.sidecar:
            print_line("florenz: stopped; the same command goes on from here", sys.stderr)
        raise
