"""Made-up datasets in the Hub's formats, and a repository on the small Hub for each."""

import io
import json
import tarfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
from hub_thread import HubThread
from PIL import Image


TEXTS = {"de": "Ein Bild: Hund {}.", "fr": "Une image : chien {}."}


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 16), (number * 7 % 256, 90, 120)).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(path: Path, count: int = 12, group: int = 4, kind: str = "struct") -> None:
    """Write a table with column names of its own: `photo`, `words` and `code`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [picture(number) for number in range(count)]
    values = {
        "struct": [{"bytes": image, "path": None} for image in images],
        "bytes": images,
        "path": [f"photos/{number}.png" for number in range(count)],
        "url": [f"https://example.com/{number}.png" for number in range(count)],
        "number": list(range(count)),
        "places": [{"left": number, "top": 0} for number in range(count)],
    }
    codes = [list(TEXTS)[number % 2] for number in range(count)]
    words = [TEXTS[code].format(number) for number, code in enumerate(codes)]
    table = pyarrow.table({"photo": values[kind], "words": words, "code": codes})
    pyarrow.parquet.write_table(table, path, row_group_size=group)


def write_archive(path: Path, count: int = 6) -> None:
    """Write a WebDataset with `jpg`-like members, `txt` and `json`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for number in range(count):
            record = json.dumps({"caption": f"A dog, {number}."}).encode()
            for ending, content in (("png", picture(number)), ("txt", b"A cat."), ("json", record)):
                member = tarfile.TarInfo(f"{number:04d}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def write_image_folder(folder: Path, count: int = 6) -> None:
    """Write images beside a `metadata.jsonl`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number}.png").write_bytes(picture(number))
    lines = [json.dumps({"file_name": f"{number}.png", "text": f"A dog, {number}."}) for number in range(count)]
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def publish(hub: HubThread, folder: Path, repo: str = "owner/photos") -> str:
    """Commit all files of a folder to a dataset on the small Hub, and return the commit."""
    store = hub.handler.store
    if store.repo("dataset", repo) is None:
        store.save("dataset", repo, {"commits": {"0" * 40: {}}, "refs": {"main": "0" * 40}, "tags": {}, "private": 0})
    changes = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            name = path.relative_to(folder).as_posix()
            changes[name] = {"sha256": store.add_blob(content), "size": len(content), "lfs": False}
    return store.commit("dataset", repo, "main", changes, None)
