"""The command `florenz caption`."""

import argparse
import os
import sys
from typing import Any

from .arguments import add_beams, add_model, at_least_one, load_captioner, print_record
from .exit_codes import DONE, NOTHING_DONE, SOME_FAILED
from .terminal import one_line


TASKS = ("caption", "detailed_caption", "more_detailed_caption")  # as in the processor, which imports torch


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    caption = commands.add_parser("caption", help="caption images or folders of images")
    add_model(caption)
    add_beams(caption)
    caption.add_argument("images", nargs="+", metavar="IMAGE")
    caption.add_argument("--language", default="en", help="ISO 639-1 code, or all (default: en)")
    caption.add_argument("--task", default="caption", choices=TASKS)
    caption.add_argument(
        "--prefix",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="start the decoder with the first words of a caption in that language; they are not printed",
    )
    caption.add_argument(
        "--via",
        choices=("en",),
        help="caption in English first, then translate that beside the image: better in languages whose captions the "
        "model was not trained on",
    )
    caption.add_argument("--batch-size", type=at_least_one, default=8, help="images at a time (default: 8)")
    caption.set_defaults(run=_caption)


def _caption(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ..data.images import find_images, open_image
    from ..inference.files import caption_files

    captioner = load_captioner(arguments)
    languages = captioner.languages if arguments.language == "all" else [arguments.language]
    captioner.check_request(languages, arguments.task, arguments.via)
    found = find_images(arguments.images)
    paths = found.images
    is_batch = len(arguments.images) > 1 or os.path.isdir(arguments.images[0])
    if not is_batch:
        open_image(paths[0])  # the only one: its failure is the command's
    if len(found.refused) == 1 and not paths and not found.passed_over:
        raise ValueError(found.refused[0])
    for reason in found.refused:
        print(f"florenz: skipped: {one_line(reason)}", file=sys.stderr)
    for path in found.passed_over:
        reason = f"{path} is of a kind that is not read: save it as JPEG or PNG"
        print(f"florenz: passed over: {one_line(reason)}", file=sys.stderr)
    failed = 0
    files = caption_files(
        captioner,
        paths,
        languages,
        arguments.task,
        arguments.prefix,
        arguments.beams,
        arguments.batch_size,
        arguments.via,
    )
    with tqdm(total=len(paths), unit="image", disable=None if len(paths) > 1 else True) as bar:
        for file in files:
            bar.update()
            if file.problem is not None:
                failed += 1
                bar.write(f"florenz: skipped: {one_line(file.problem)}", file=sys.stderr)
            for language, text in file.captions.items():
                record = {"image": str(file.path), "task": arguments.task, "language": language, "text": text}
                if arguments.via is not None:
                    record["via"] = arguments.via
                columns = (language, text) if len(paths) == 1 else (str(file.path), language, text)
                print_record(arguments, record, *columns)
    done, skipped = len(paths) - failed, failed + len(found.refused)
    if is_batch:
        counts = f"{done} done, {skipped} skipped, {len(found.passed_over)} passed over"
        print(f"florenz: {counts}", file=sys.stderr)
    if not done:
        return NOTHING_DONE
    return SOME_FAILED if skipped else DONE
