"""Every published card on a Hub on this machine: its links lead to something, its snippets run as printed."""

import json
import os
import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from forked import run_code, run_florenz
from hub_thread import HubThread
from huggingface_hub import DatasetCard, ModelCard, parse_eval_result_entries

from modeling_florenz import FlorenzForConditionalGeneration, FlorenzProcessor
from modeling_florenz.card_template import HUB, OWNER, check_card
from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.cli import main
from modeling_florenz.training.fine_tuning import fine_tune
from modeling_florenz.training.recipe_file import read_recipe, recipe_path
from modeling_florenz.yaml_files import parse_yaml


CARDS = Path(__file__).parents[2] / "hub_cards"
SIZES = [f"florenz-{size}{ending}" for size in ("0.4b", "1.0b", "3.5b", "11.2b") for ending in ("", "-ft")]
DATASETS = ("emoji_scenes", "scaling_runs")
# Who else is linked to: nothing of theirs is on this Hub.
ELSEWHERE = re.compile(
    rf"{HUB}/(microsoft/Florence-2-(base|large)|google/gemma-2-(2b|9b))|https://arxiv\.org/abs/2503\.09443"
    r"|https://github\.com/spravil/caption-via-translation"
)


def _make(folder: Path, name: str) -> Path:
    """Make what would be pushed; the sizes have the weights of florenz-tiny, as nobody has theirs here."""
    target = folder / name
    if name == "emoji_scenes":
        assert main(["dataset", str(target), "--train", "20", "--test", "10", "--pairs", "3"]) == 0
        return target
    if name == "florenz-tiny-it":
        values = read_recipe(recipe_path("add_language_lora"))
        values |= {"max_steps": 1, "rehearsal": 0, "per_device_train_batch_size": 2, "use_cpu": True}
        values |= {"output_dir": str(folder / "run"), "base_id": f"{OWNER}/florenz-tiny", "disable_tqdm": True}
        values["train_data"] = [{**values["train_data"][0], "examples": 20}]
        target = fine_tune(values).folder
    elif name == "scaling_runs":
        target.mkdir()
        shutil.copyfile(CARDS / "studies" / "law.jsonl", target / "runs.jsonl")
    else:
        FlorenzForConditionalGeneration.from_pretrained(BUNDLED_MODEL).save_pretrained(target)
        FlorenzProcessor.from_pretrained(BUNDLED_MODEL).save_pretrained(target)
        for settings in target.rglob("tokenizer_config.json"):
            known = json.loads(settings.read_text())
            settings.write_text(
                json.dumps({k: v for k, v in known.items() if k not in ("is_local", "local_files_only")})
            )
    assert main(["card", name, str(target)]) == 0
    return target


def _is_there(hub: HubThread, link: str) -> bool:
    kind, name, file = re.fullmatch(
        rf"{HUB}/(datasets/)?({OWNER}/[\w.-]+)(?:/(?:resolve|blob)/main/(.+))?", link
    ).groups()
    page = f"/{kind or ''}{name}/resolve/main/{file}" if file else f"/api/{kind or 'models/'}{name}"
    try:
        with urllib.request.urlopen(hub.url + page, timeout=60) as answer:
            return answer.status == 200
    except urllib.error.HTTPError:
        return False


@pytest.mark.slow
def test_every_link_leads_somewhere_and_every_snippet_runs_as_printed(tmp_path: Path) -> None:
    names = ["florenz-tiny", *SIZES, "florenz-tiny-it", *DATASETS]
    with HubThread(tmp_path / "hub") as hub:
        values = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "PYTHONPATH")}
        values |= {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_test", "HF_HOME": str(tmp_path / "home")}
        values |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "127.0.0.1"}
        texts = {}
        for name in names:
            folder = _make(tmp_path, name)
            texts[name] = (folder / "README.md").read_text(encoding="utf-8")
            run = run_florenz("push", str(folder), f"{OWNER}/{name}", env=values, timeout=600)
            assert run.returncode == 0, run.stderr
        checked, elsewhere, snippets = 0, set(), 0
        for name, text in texts.items():
            card = (DatasetCard if name in DATASETS else ModelCard)(text)
            check_card(card.content)
            for link in set(re.findall(r"https?://[^\s)\"'>\]]+", text)):
                if link.startswith((f"{HUB}/{OWNER}/", f"{HUB}/datasets/{OWNER}/")):
                    assert _is_there(hub, link), f"{name}: {link}"
                    checked += 1
                else:
                    assert ELSEWHERE.fullmatch(link.rstrip(".,:")), f"{name}: {link}"
                    elsewhere.add(link)
            blocks = re.findall(r"```python\n(.*?)```", card.text, re.DOTALL)
            assert blocks
            done = run_code("\n".join(blocks), env=values, cwd=tmp_path, timeout=600)
            assert done.returncode == 0, f"{name}: {done.stderr[-2000:]}"
            assert done.stdout.strip()
            snippets += len(blocks)
        print(f"{len(texts)} cards, {checked} links on the Hub, {len(elsewhere)} elsewhere, {snippets} snippets")
        assert not _is_there(hub, f"{HUB}/{OWNER}/florenz-tiny/resolve/main/nothing.png")
        scores = tmp_path / "florenz-tiny" / ".eval_results" / "emoji_scenes.yaml"
        entries = parse_eval_result_entries(parse_yaml(scores.read_text(encoding="utf-8"), "the scores"))
        assert len(entries) == 3
        for entry in entries:
            assert _is_there(hub, entry.source_url)
        stored = {*hub.files(f"{OWNER}/florenz-tiny"), *(tmp_path / "emoji_scenes").iterdir()}
        assert ".eval_results/emoji_scenes.yaml" in stored
