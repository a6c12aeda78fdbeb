"""A real client pushes to and loads from a Hub on loopback."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from forked import run_code, run_florenz
from huggingface_hub import ModelCard
from pushed_folders import REPO, replace_text
from safetensors.torch import load_file, save_file

from modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.card_template import OWNER, check_card
from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.cli import main
from modeling_florenz.data.emoji_scenes.parquet import TEST_SEED
from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.publishing.checks import check_folder
from modeling_florenz.publishing.push import listing
from modeling_florenz.tiny.evaluate import SEED
from modeling_florenz.training.fine_tuning import fine_tune


SERVER = Path(__file__).parents[1] / "support" / "hub_server.py"


class Hub:
    """Run the server in a process of its own, and the client in others."""

    def __init__(self, folder: Path, home: Path, *flags: str) -> None:
        self.folder, self.home, self.flags = folder, home, flags
        self.process, self.url = None, ""
        self.start()

    def start(self) -> None:
        port = self.url.rpartition(":")[2] or "0"
        command = [sys.executable, str(SERVER), str(self.folder), "--port", port, *self.flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def environment(self) -> dict[str, str]:
        values = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "PYTHONPATH")}
        values |= {"HF_ENDPOINT": self.url, "HF_TOKEN": "hf_test", "HF_HOME": str(self.home), "OMP_NUM_THREADS": "1"}
        return values | {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "127.0.0.1"}

    def florenz(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_florenz(*arguments, env=self.environment(), timeout=600)

    def python_lines(self, code: str, cwd: Path) -> list[str]:
        run = run_code(code, env=self.environment(), cwd=cwd, timeout=600)
        assert run.returncode == 0, run.stderr[-2000:]
        return run.stdout.strip().splitlines()

    def python(self, code: str, cwd: Path) -> str:
        return next(reversed(self.python_lines(code, cwd)), "")

    def files(self, repo: str, kind: str = "model") -> list[dict]:
        path = self.folder / "repos" / f"{kind}--{repo.replace('/', '--')}.json"
        return list(json.loads(path.read_text())["commits"].values()) if path.exists() else []


@pytest.fixture
def hub(tmp_path):
    server = Hub(tmp_path / "hub", tmp_path / "home")
    yield server
    server.stop()


# The package must not be found: neither installed nor beside the script.
_WITHOUT_PACKAGE = """
import sys
class Refuse:
    def find_spec(self, name, *rest):
        if name.split(".")[0] == "modeling_florenz":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
import torch
from transformers import AutoModel, AutoProcessor
from PIL import Image
kwargs = dict(trust_remote_code=True, revision=REVISION)
model = AutoModel.from_pretrained("owner/florenz-tiny", dtype=torch.float32, **kwargs)
processor = AutoProcessor.from_pretrained("owner/florenz-tiny", **kwargs)
inputs = processor(images=Image.open(IMAGE), task="caption", language="fr")
print(processor.decode_generated(model.generate(**inputs, num_beams=1))[0])
"""


def _load(hub: Hub, revision: str | None, cwd: Path) -> str:
    code = _WITHOUT_PACKAGE.replace("REVISION", repr(revision)).replace(
        "IMAGE", repr(str(BUNDLED_MODEL / "sample.png"))
    )
    return hub.python(code, cwd)


def test_a_pushed_model_loads_without_the_package_and_a_pinned_revision_outlives_the_next_push(hub, folder, tmp_path):
    dry = hub.florenz("push", str(folder), REPO, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "model.safetensors" in dry.stdout
    assert hub.files(REPO) == []
    run = hub.florenz("push", str(folder), REPO)
    assert run.returncode == 0, run.stderr
    commit = re.search(r'revision="([0-9a-f]{40})"', run.stdout)[1]
    assert len(hub.files(REPO)) == 2  # the empty one and ours
    french = "Une image : chien, vélo et palmier."
    assert _load(hub, None, tmp_path) == french
    sample = str(BUNDLED_MODEL / "sample.png")
    code = f"from modeling_florenz import Captioner\nprint(Captioner({REPO!r}).caption([{sample!r}], 'fr')[0])"
    assert hub.python(code, tmp_path) == french

    tensors = load_file(folder / "model.safetensors")
    save_file({name: tensor * 0 for name, tensor in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
    assert hub.florenz("push", str(folder), REPO).returncode == 0
    assert _load(hub, commit, tmp_path) == french
    assert _load(hub, None, tmp_path) != french

    # A broken pull of a branch that has moved on since may have left what the branch has no longer.
    partial = tmp_path / f"pulled.owner--florenz-tiny--{commit}.partial"
    partial.mkdir()
    (partial / "model-00001-of-00002.safetensors").write_bytes(b"of an older commit")
    pulled = hub.florenz("pull", REPO, str(tmp_path / "pulled"), "--revision", commit)
    assert pulled.returncode == 0, pulled.stderr
    assert load_file(tmp_path / "pulled" / "model.safetensors").keys() == tensors.keys()
    assert check_folder(tmp_path / "pulled") == []  # nothing of the client is in it
    assert not list((tmp_path / "pulled").glob("model-*"))
    assert not list(tmp_path.glob("*.partial"))
    assert hub.florenz("pull", REPO, str(tmp_path / "pulled")).returncode == 2


def test_a_pull_that_cannot_begin_leaves_nothing(tmp_path, capsys):
    assert main(["pull", "owner/nothing", str(tmp_path / "new" / "pulled")]) == 2
    assert "owner/nothing could not be fetched" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "new").iterdir()] == [".pulled.lock"]


@pytest.mark.slow
def test_shards_replace_the_whole_file_in_the_next_push_and_other_files_stay(hub, folder):
    assert hub.florenz("push", str(folder), REPO).returncode == 0
    assert "model.safetensors" in hub.files(REPO)[-1]
    (folder / "idea.png").rename(folder / "unused.png")
    replace_text(folder / "README.md", "resolve/main/idea.png", "resolve/main/unused.png")
    model = FlorenzForConditionalGeneration.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="8MB")
    run = hub.florenz("push", str(folder), REPO, "--revision", "main")
    assert run.returncode == 0, run.stderr
    after = hub.files(REPO)[-1]
    assert "model.safetensors" not in after  # it would be read instead of the shards
    assert "model.safetensors.index.json" in after
    assert {"idea.png", "unused.png"} <= set(after)


@pytest.mark.slow
def test_a_pushed_adapter_is_loaded_on_its_base_and_its_card_is_filled(hub, folder, tmp_path):
    scenes = [{"dataset": "emoji_scenes", "task": "translate", "languages": ["de"], "examples": 20}]
    values = {"train_data": scenes, "output_dir": str(tmp_path / "run"), "max_steps": 1, "use_cpu": True}
    values |= {"per_device_train_batch_size": 2, "disable_tqdm": True, "hub_model_id": "owner/adapter", "lora_rank": 2}
    adapter = fine_tune({**values, "model": str(BUNDLED_MODEL), "base_id": REPO}).folder
    assert check_folder(adapter) == []
    assert hub.florenz("push", str(folder), REPO).returncode == 0
    run = hub.florenz("push", str(adapter), "owner/adapter")
    assert run.returncode == 0, run.stderr
    code = (
        "from modeling_florenz import Captioner\n"
        "captioner = Captioner(adapter='owner/adapter')\n"
        f"print(captioner.caption([{str(BUNDLED_MODEL / 'sample.png')!r}], 'de')[0])"
    )
    assert hub.python(code, tmp_path) == "Ein Bild: Hund, Fahrrad und Palme."
    card = ModelCard.load(adapter / "README.md")
    check_card(card.content)
    assert card.data.base_model == REPO
    assert card.data.base_model_relation == "adapter"
    shutil.copyfile(BUNDLED_MODEL / "sample.png", tmp_path / "photo.jpg")
    block = re.search(r"```python\n(.*?)```", card.text, re.DOTALL)[1]
    assert hub.python(block, tmp_path) == "['Ein Bild: Hund, Fahrrad und Palme.']"


def test_the_pushed_emoji_scenes_are_loaded_as_their_card_says(hub, tmp_path):
    folder = tmp_path / "emoji_scenes"
    assert main(["dataset", str(folder), "--train", "20", "--test", "10", "--pairs", "3"]) == 0
    assert main(["dataset", str(folder)]) == 2  # it is there already
    run = hub.florenz("push", str(folder), f"{OWNER}/emoji_scenes")
    assert run.returncode == 0, run.stderr
    assert f'load_dataset("{OWNER}/emoji_scenes", revision=' in run.stdout
    assert hub.florenz("pull", f"{OWNER}/emoji_scenes", str(tmp_path / "pulled")).returncode == 0
    assert dict(listing(tmp_path / "pulled")).items() >= dict(listing(folder)).items()
    block = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    world = EmojiWorld()
    scene = world.scene("train", 0, 0)
    print_all = (
        "\nfirst = scenes['test'][0]\n"
        "print(len(scenes['train']), len(scenes['test']), len(items), first['caption_it'], "
        "first['image'].tobytes().hex())"
    )
    *_, shown, _, numbers = hub.python_lines(block + print_all, tmp_path)
    assert world.caption(scene, "en") in shown
    assert world.caption(scene, "fr") in shown
    held_out = world.scene("test", 0, TEST_SEED)
    pixels = world.render(held_out).tobytes().hex()
    assert numbers == f"20 10 36 {world.caption(held_out, 'it')} {pixels}"
    assert TEST_SEED == SEED  # so that published results are on these scenes


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "webdataset"])
def test_a_synthesized_dataset_is_loaded_as_its_card_says(kind, hub, tmp_path):
    folder, repo = tmp_path / "made", f"{OWNER}/made"
    changes = ["images.scenes=24", "bitexts.0.scenes=60", "shard=10", f"repository={repo}", f"format={kind}"]
    words = [word for change in changes for word in ("--set", change)]
    assert main(["synthesize", "emoji", "--output", str(folder), *words]) == 0
    run = hub.florenz("push", str(folder), repo)
    assert run.returncode == 0, run.stderr
    block = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    assert f'load_dataset("{repo}", split="train", streaming=True)' in block
    count = "\nrows = list(rows)\nprint(len(rows), rows[0].get('image', rows[0].get('png')).size)"
    *_, last = hub.python_lines(block + count, tmp_path)
    rows = json.loads((folder / "statistics.json").read_text())["rows"] if kind == "parquet" else 24
    assert last == f"{rows} (96, 96)"
    assert {"examples/1.jpg", "statistics.json"} <= set(hub.files(repo, "dataset")[-1])


@pytest.mark.slow
def test_a_server_killed_in_an_upload_is_resumed_after_its_restart(hub, folder):
    command = [sys.executable, "-m", "modeling_florenz.cli", "push", str(folder), REPO]
    client = subprocess.Popen(
        command, env=hub.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.time() + 600
    while time.time() < deadline and not (hub.folder / "repos").is_dir() or not list((hub.folder / "repos").iterdir()):
        time.sleep(0.01)
    hub.stop()
    assert all(not commit for commit in hub.files(REPO))
    time.sleep(0.5)
    hub.start()
    client.communicate(timeout=600)
    if client.returncode:
        assert hub.florenz("push", str(folder), REPO).returncode == 0
    assert {name for name, _ in listing(folder)} <= set(hub.files(REPO)[-1])


@pytest.mark.slow
def test_three_gigabytes_go_up_and_come_down_in_less_than_one_of_memory(hub, folder, tmp_path):
    (folder / "model.safetensors").unlink()
    names = {}
    for shard in range(3):
        file = f"model-{shard + 1:05d}-of-00003.safetensors"
        save_file({f"t{shard}": torch.randint(0, 255, (1_000_000_000,), dtype=torch.uint8)}, folder / file)
        names[f"t{shard}"] = file
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    peaks = []
    for arguments in (["push", str(folder), REPO], ["pull", REPO, str(tmp_path / "pulled")]):
        # VmHWM and not ru_maxrss, which a child takes over from this large process.
        code = (
            "import re, sys; from modeling_florenz.cli import main; code = main(sys.argv[1:]);"
            "print(int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) * 1024); sys.exit(code)"
        )
        command = [sys.executable, "-c", code, *arguments]
        run = subprocess.run(command, env=hub.environment(), capture_output=True, text=True, timeout=550)
        assert run.returncode == 0, run.stderr[-2000:]
        peaks.append(int(run.stdout.split()[-1]))
    print("peak memory of push and pull in GB:", [round(peak / 1e9, 2) for peak in peaks])
    assert max(peaks) < 1e9
    for file in names.values():
        assert (tmp_path / "pulled" / file).stat().st_size == (folder / file).stat().st_size
