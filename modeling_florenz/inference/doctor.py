"""Look at an installation: what is there, what is missing, what it runs on, and whether its captions are right."""

import json
import os
import platform
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from shutil import disk_usage
from typing import Literal

from packaging.requirements import Requirement

from .. import __version__
from ..extras import install_command
from ..run_record import git_commit


SELF_TEST_SECONDS = 10.0
_NAMED = ("torch", "transformers", "tokenizers", "huggingface_hub", "safetensors", "numpy", "pillow")
_FOR_DEVELOPERS = ("test", "peers", "dev", "docs")
_PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


@dataclass(frozen=True)
class Finding:
    """Say one thing about an installation.

    Args:
        subject: what it is about.
        text: what was found, in one line.
        state: `fine`, `missing` for what is not there and need not be, `wrong` for what has to be put right.
    """

    subject: str
    text: str
    state: Literal["fine", "missing", "wrong"] = "fine"


def examine() -> Iterator[Finding]:
    """Yield what is found, as it is found: versions, extras, device, memory, model cache, and a self-test.

    The home folder is written as `~`, so that the findings can be shown to others.

    Example:

    ```python
    >>> for finding in examine():  # doctest: +SKIP
    ...     print(finding.subject, finding.text)
    ```
    """
    parts: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("versions", _versions),
        ("extras", _extras),
        ("device", _device),
        ("memory", _memory),
        ("model cache", _cache),
        ("self-test", _self_test),
    ]
    home = os.path.expanduser("~")
    for subject, look in parts:
        try:
            for finding in look():
                text = finding.text.replace(home, "~") if len(home) > 1 else finding.text
                yield Finding(finding.subject, " ".join(text.split()), finding.state)
        except Exception as error:  # a broken installation breaks anywhere, and the rest is still of use
            yield Finding(subject, " ".join(f"{type(error).__name__}: {error}".split()), "wrong")


def _versions() -> Iterator[Finding]:
    commit, _, changed = (git_commit() or "").partition("-")
    source = f", commit {commit[:12]}" + (", changed since" if changed else "") if commit else ""
    yield Finding("versions", f"florenz {__version__}{source}")
    yield Finding("versions", f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    for names in (_NAMED[:3], _NAMED[3:]):
        yield Finding("versions", ", ".join(f"{name} {version(name)}" for name in names))
    for problem in filter(None, map(_problem, _requirements("")[""])):
        yield Finding("versions", problem, "wrong")


def _extras() -> Iterator[Finding]:
    complete = []
    for extra, requirements in sorted(_requirements(None).items()):
        if extra in ("", *_FOR_DEVELOPERS):
            continue
        if problems := [problem for problem in map(_problem, requirements) if problem]:
            yield Finding("extras", f"{extra}: {', '.join(problems)}: {install_command(extra)}", "missing")
        else:
            complete.append(extra)
    yield Finding("extras", f"complete: {', '.join(complete) or 'none'}")


def _requirements(only: str | None) -> dict[str, list[Requirement]]:
    """Read what the package and its extras need: of the clone that runs, else of the installed package."""
    if _PYPROJECT.is_file():
        project = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]
        found = {"": project["dependencies"], **project["optional-dependencies"]}
        return {extra: list(map(Requirement, lines)) for extra, lines in found.items() if only in (None, extra)}
    parsed: dict[str, list[Requirement]] = {"": []}
    for requirement in map(Requirement, requires("modeling-florenz") or []):
        marker = str(requirement.marker or "")
        extra = marker.partition("extra == ")[2].strip("\"'")
        parsed.setdefault(extra, []).append(requirement)
    return {extra: lines for extra, lines in parsed.items() if only in (None, extra)}


def _problem(requirement: Requirement) -> str | None:
    try:
        there = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(there, prereleases=True):
        return None
    return f"{requirement.name} is {there}, not {requirement.specifier}"


def _device() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            memory = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
            yield Finding("device", f"{torch.cuda.get_device_name(index)}, {memory}, CUDA {torch.version.cuda}")
    else:
        half = "with" if torch.cpu._is_avx512_bf16_supported() else "without"
        yield Finding("device", f"CPU, {torch.get_num_threads()} of {os.cpu_count()} threads, {half} bfloat16; no GPU")


def _memory() -> Iterator[Finding]:
    page, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
    available = ""
    if (meminfo := Path("/proc/meminfo")).exists():
        sizes = dict(line.split(":") for line in meminfo.read_text().splitlines())
        available = f"{int(sizes['MemAvailable'].split()[0]) * 1024 / 1e9:.1f} GB free of "
    yield Finding("memory", f"{available}{page * pages / 1e9:.1f} GB")


def _cache() -> Iterator[Finding]:
    from huggingface_hub import constants, scan_cache_dir

    folder = Path(constants.HF_HUB_CACHE)
    offline = "; offline, for HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else ""
    if not folder.is_dir():
        yield Finding("model cache", f"{folder} is not there yet{offline}")
        return
    cache = scan_cache_dir(folder)
    size, free = cache.size_on_disk / 1e9, disk_usage(folder).free / 1e9
    repositories = f"{len(cache.repos)} repositories, {size:.1f} GB; {free:.1f} GB free on disk{offline}"
    yield Finding("model cache", f"{folder}: {repositories}")
    found = ((repo.repo_id, revision.snapshot_path) for repo in cache.repos for revision in repo.revisions)
    if florenz := sorted({name for name, snapshot in found if _is_florenz(snapshot)}):
        yield Finding("model cache", f"of Florenz: {', '.join(florenz)}")
    for warning in cache.warnings:
        yield Finding("model cache", str(warning), "wrong")


def _is_florenz(snapshot: Path) -> bool:
    try:
        return bool(json.loads((snapshot / "config.json").read_text(encoding="utf-8")).get("model_type") == "florenz")
    except (OSError, ValueError, AttributeError):
        return False


def _self_test() -> Iterator[Finding]:
    from ..data.emoji_scenes.world import EmojiWorld
    from ..data.images import open_image
    from .captioner import SAMPLE_IMAGE, Captioner

    start = time.monotonic()
    captioner, world = Captioner(), EmojiWorld()
    image = open_image(SAMPLE_IMAGE)
    scene = world.from_emoji(["🐕", "🚲", "🌴"])
    wrong, asked = [], 0
    for language in captioner.languages:
        if time.monotonic() - start > SELF_TEST_SECONDS:
            break
        asked += 1
        [text] = captioner.caption([image], language, num_beams=1)
        if text != world.caption(scene, language):
            wrong.append(f"{language}: {text!r}")
    seconds = time.monotonic() - start
    what = f"the sample picture in {asked} of {len(captioner.languages)} languages, {seconds:.1f} s"
    if wrong:
        yield Finding("self-test", f"{what}; wrong captions: {', '.join(wrong)}", "wrong")
    elif asked < len(captioner.languages):
        yield Finding("self-test", f"{what}; right, but slow: is the machine busy?", "wrong")
    else:
        yield Finding("self-test", f"{what}, all captions right")
