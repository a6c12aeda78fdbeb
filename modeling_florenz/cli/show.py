"""The command `florenz show`."""

import argparse
import sys
import webbrowser
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import TASKS, add_beams, add_weights, load_captioner, read_languages
from .exit_codes import DONE, NOTHING_DONE, SOME_FAILED
from .lines import one_line, paint, print_line


if TYPE_CHECKING:
    from ..data.image_inputs import ImageInput
    from ..inference.captioner import Captioner
    from ..inference.gallery.exhibits import Exhibit


MOST = 500  # pictures of a page: more of them, and a browser takes long to open it


def add_commands(commands: Any) -> None:
    """Add the command to the parser of `florenz`."""
    show = commands.add_parser(
        "show",
        help="make a page of images whose words light their places",
        description="Write a page of HTML: images, their captions in all languages, and where the model looked for "
        "each word. A folder becomes a contact sheet. The page holds all that it shows, and opens offline.",
    )
    show.add_argument(
        "images", nargs="+", metavar="IMAGE", help="file, folder, pattern, .parquet, .tar; - reads an image or a list"
    )
    show.add_argument("--output", type=Path, metavar="PAGE", help="the page (default: NAME.html here)")
    show.add_argument("--open", action="store_true", help="open the page in the browser")
    show.add_argument("--language", default="all", help="ISO 639-1 codes such as de,fr, or all (default: all)")
    show.add_argument("--task", choices=TASKS, default="caption", help="kind of caption (default: caption)")
    show.add_argument("--recursive", action="store_true", help="look into the folders within folders too")
    add_weights(show)
    add_beams(show)
    show.set_defaults(run=_show, image_guidance=1.0)


def _show(arguments: argparse.Namespace) -> int:
    from ..data.image_inputs import find_image_inputs
    from ..inference.gallery.page import PageInfo, check_target, write_page

    name = _name(arguments.images)
    output = arguments.output or Path(f"{name}.html")
    check_target(output)
    stream = None if sys.stdin is None else sys.stdin.buffer
    found = find_image_inputs(arguments.images, arguments.recursive, stream=stream)
    images = list(islice(found, MOST + 1))
    if len(images) > MOST:
        raise ValueError(f"there are more than {MOST} images, and a page shows {MOST} at most: give fewer")
    if len(images) == 1 and images[0].problem is not None:
        raise ValueError(images[0].problem)
    captioner = load_captioner(arguments)
    languages = read_languages(arguments.language, captioner.languages)
    captioner.check_request(languages, arguments.task)
    exhibits, skipped = _exhibits(arguments, captioner, images, languages)
    if not exhibits:
        return NOTHING_DONE
    names = {code: captioner.processor.languages[code] for code in languages}
    title = exhibits[0].name if len(exhibits) == 1 else name
    write_page(output, PageInfo(title, len(exhibits), names, _made_by(arguments)), exhibits)
    print_line(str(output), sys.stdout)
    if arguments.open:
        webbrowser.open(output.resolve().as_uri())
    return SOME_FAILED if skipped else DONE


def _name(images: list[str]) -> str:
    """Name the page after the one file or folder that is shown."""
    first = Path(images[0])
    if len(images) > 1 or not first.exists():
        return "florenz"
    return first.stem if first.is_file() else first.resolve().name or "florenz"


def _exhibits(
    arguments: argparse.Namespace, captioner: "Captioner", images: list["ImageInput"], languages: tuple[str, ...]
) -> tuple[list["Exhibit"], int]:
    from tqdm import tqdm

    from ..inference.gallery.exhibits import make_exhibit

    exhibits, skipped = [], 0
    for image in tqdm(images, unit=" images", dynamic_ncols=True, disable=None if len(images) > 1 else True):
        try:
            if image.problem is not None:
                raise ValueError(image.problem)
            exhibits.append(
                make_exhibit(captioner, image, languages, arguments.task, arguments.beams, pictures=len(images))
            )
        except ValueError as error:
            if len(images) == 1:
                raise
            skipped += not image.passed_over
            state = paint("passed over" if image.passed_over else "skipped", "yellow", sys.stderr)
            reason = str(error) if image.name in str(error) else f"{image.name}: {error}"
            print_line(f"florenz: {state}: {one_line(reason)}", sys.stderr)
    return exhibits, skipped


def _made_by(arguments: argparse.Namespace) -> str:
    from .. import __version__

    given = arguments.adapter or arguments.model
    model = Path(given).name if given else "florenz-tiny, which knows emoji scenes and nothing else"
    search = f"{arguments.task}, {arguments.beams} beams"
    return f"Written by {model} ({search}); shown by modeling_florenz {__version__}."
