"""The evaluation: blind, perfect and constant models get what they must; runs resume; means are the paper's."""

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_processor import build_tokenizer
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    Florence2Config,
    Florence2ForConditionalGeneration,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    M2M100Config,
    M2M100ForConditionalGeneration,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from modeling_florenz.cli import main
from modeling_florenz.data.datasets import DATASETS
from modeling_florenz.evaluation.benchmarks import BENCHMARKS, aggregate, parts_of
from modeling_florenz.evaluation.metrics.clip_score import ClipScorer
from modeling_florenz.evaluation.metrics.comet import comet
from modeling_florenz.evaluation.predictions import shown_images
from modeling_florenz.evaluation.run import markdown, run_benchmark
from modeling_florenz.inference.baselines import (
    CascadeModel,
    ChatModel,
    Florence2Model,
    NllbModel,
    PlainCaptioner,
    SearchProtocol,
)
from modeling_florenz.resumable import JsonLines, hold


SHARED = Path(__file__).parents[3] / "shared" / "data"
GREEDY = SearchProtocol(num_beams=1, max_new_tokens=8, no_repeat_ngram_size=0)


class Stub:
    """Answer with what a function of a row says, and count how often."""

    def __init__(self, text=lambda row: row["target"], perplexity=lambda row, target: 1.0):
        self.text, self.perplexity, self.asked = text, perplexity, []

    def generate(self, rows, protocol):
        self.asked += [row["key"] for row in rows]
        return [self.text(row) for row in rows]

    def perplexities(self, rows, targets):
        return [self.perplexity(row, target) for row, target in zip(rows, targets, strict=True)]


def _blind(row, target):
    return 1 + int.from_bytes(hashlib.sha256(f"{row['source']}{target}".encode()).digest()[:6], "big")


SCORERS = {
    "blind": (_blind, 50.0),
    "oracle": (lambda row, target: 1.0 if target == row["target"] else 2.0, 100.0),
    "constant": (lambda row, target: 3.0, 0.0),
    "broken": (lambda row, target: float("nan"), 0.0),
}


@pytest.mark.skipif(not (SHARED / "commute").is_dir(), reason="../shared/data/commute is missing")
@pytest.mark.parametrize("scorer", list(SCORERS))
def test_on_commute_a_blind_model_gets_half_an_oracle_all_and_a_constant_nothing(scorer, tmp_path):
    perplexity, wanted = SCORERS[scorer]
    results = run_benchmark(
        "commute",
        Stub(perplexity=perplexity),
        scorer,
        SHARED / "commute",
        tmp_path,
        GREEDY,
        languages=["de", "zh"],
        stand_in=True,
        batch_size=50,
    )
    assert [results["scores"][f"test/{language}"]["accuracy"] for language in ("de", "zh")] == [wanted, wanted]
    assert results["scores"]["test/de"]["bleu"] == pytest.approx(100)


def _data(folder, *samples):
    for name, languages, splits in samples:
        for split in splits:
            DATASETS[name].sample_writer(folder, split, [("caption", language) for language in languages])
    return folder


@pytest.mark.filterwarnings("ignore:.*compare with no others")
@pytest.mark.parametrize("image", ["on", "blank", "shuffled"])
def test_rows_show_the_image_that_was_asked_for(image, tmp_path):
    data = _data(tmp_path / "data", ("commute", ["de"], ["test"]))
    seen = {}

    def look(row, target):
        seen[row["key"]] = row["image"].convert("RGB").tobytes()
        return 1.0

    protocol = SearchProtocol(num_beams=1, image=image)
    run_benchmark("commute", Stub(perplexity=look), "stub", data, tmp_path / image, protocol, languages=["de"])
    from modeling_florenz.data.commute import load_commute

    own = {row["key"]: row["image"].convert("RGB").tobytes() for row in load_commute(data, "de")}
    if image == "on":
        assert seen == own
    elif image == "blank":
        assert all(set(pixels) == {128} for pixels in seen.values())
    else:
        assert sorted(seen.values()) == sorted(own.values())
        assert all(seen[key] != own[key] for key in own)


def test_shuffled_no_row_keeps_its_image():
    for count in (2, 3, 50):
        shown = shown_images(count, "shuffled")
        assert sorted(shown) == list(range(count))
        assert all(index != other for index, other in enumerate(shown))
    with pytest.raises(ValueError, match="one image alone cannot be shuffled"):
        shown_images(1, "shuffled")


@pytest.mark.filterwarnings("ignore:.*compare with no others")
def test_a_second_run_generates_only_what_is_missing_and_ends_with_the_same_file(tmp_path):
    data = _data(tmp_path / "data", ("coco_karpathy", ["en"], ["test"]))
    whole, again = Stub(), Stub()
    first = run_benchmark("coco_karpathy", whole, "stub", data, tmp_path / "out", GREEDY, batch_size=2)
    path = tmp_path / "out" / "coco_karpathy" / "test.en.caption.jsonl"
    complete = path.read_bytes()
    lines = complete.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:10])
    second = run_benchmark("coco_karpathy", again, "stub", data, tmp_path / "out", GREEDY, batch_size=2)
    assert path.read_bytes() == complete
    assert again.asked == [json.loads(line)["key"] for line in lines[3:]]
    assert second["scores"] == first["scores"]
    with pytest.raises(ValueError, match="predictions with another image: give another --output"):
        blank = replace(GREEDY, image="blank")
        run_benchmark("coco_karpathy", again, "stub", data, tmp_path / "out", blank)


@pytest.mark.parametrize("broken", [b'{"key":"b","te', b"\0" * 40])
def test_a_line_of_kept_predictions_that_is_broken_in_the_middle_is_named(broken, tmp_path, capsys):
    command = ["evaluate", "florenz-tiny", "--benchmark", "emoji_scenes", "--languages", "de", "--split", "caption"]
    command += ["--limit", "3", "--beams", "1", "--output", str(tmp_path)]
    assert main(command) == 0
    path = tmp_path / "emoji_scenes" / "caption.de.scene.jsonl"
    whole = path.read_bytes()
    first, rest = whole.split(b"\n", 1)
    path.write_bytes(first + b"\n" + broken + b"\n" + rest)
    capsys.readouterr()
    assert main(command) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.endswith(f"{path}, line 2 is broken: remove that line, and what it held is made again")
    path.write_bytes(first + b"\n\n" + rest.split(b"\n", 1)[1])
    assert main(command) == 0
    assert sorted(path.read_bytes().split()) == sorted(whole.split())


@pytest.mark.filterwarnings("ignore:.*compare with no others")
def test_two_runs_do_not_add_to_one_file_of_predictions(tmp_path):
    data = _data(tmp_path / "data", ("coco_karpathy", ["en"], ["test"]))
    path = tmp_path / "out" / "coco_karpathy" / "test.en.caption.jsonl"
    with hold(path), pytest.raises(ValueError, match=r"another run is writing .*test\.en\.caption\.jsonl"):
        run_benchmark("coco_karpathy", Stub(), "stub", data, tmp_path / "out", GREEDY)
    assert not path.exists()


def test_a_killed_command_goes_on_where_it_stopped(tmp_path):
    command = [sys.executable, "-m", "modeling_florenz.cli", "evaluate", "florenz-tiny", "--benchmark", "emoji_scenes"]
    command += ["--languages", "de,fr", "--split", "caption", "--limit", "24", "--beams", "1", "--batch-size", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def start(output):
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([*command, "--output", str(output)], env=environment, cwd=tmp_path, **pipes)

    process = start(tmp_path / "killed")
    path = tmp_path / "killed" / "emoji_scenes" / "caption.de.scene.jsonl"
    deadline = time.time() + 100
    while time.time() < deadline and not (path.exists() and path.read_bytes().count(b"\n") >= 4):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = JsonLines(path, "key").entries
    assert 4 <= len(kept) <= 24
    assert not (tmp_path / "killed" / "emoji_scenes.json").exists()
    assert start(tmp_path / "killed").wait(200) == 0
    assert start(tmp_path / "whole").wait(200) == 0
    assert path.read_bytes() == (tmp_path / "whole" / "emoji_scenes" / path.name).read_bytes()
    scores = [
        json.loads((tmp_path / name / "emoji_scenes.json").read_text())["scores"] for name in ("killed", "whole")
    ]
    assert scores[0] == scores[1]


def test_means_are_taken_as_in_the_paper():
    scores = {}
    for number, split in enumerate(BENCHMARKS["multi30k_translation"].splits):
        for language in ("de", "fr"):
            scores[f"{split}/{language}"] = {"bleu": 10.0 * number + (5 if language == "fr" else 0)}
    # 2018 is the third and is left out: (0 + 10 + 30) / 3.
    assert aggregate("multi30k_translation", scores) == {
        "bleu de": pytest.approx(40 / 3),
        "bleu fr": pytest.approx(55 / 3),
    }
    six = {
        f"test/{language}": {"cider": value}
        for language, value in zip("en de fr es ru zh".split(), (90, 80, 4, 3, 2, 1), strict=True)
    }
    assert aggregate("xm3600", six) == {"cider": 2.5}
    four = {
        f"test/{language}": {"bleu": 4.0 * n, "accuracy": 50.0 + n} for n, language in enumerate("de fr ru zh".split())
    }
    assert aggregate("commute", four) == {"accuracy": 51.5, "bleu": 6.0}
    del four["test/zh"]
    assert aggregate("commute", four) == {}


@pytest.mark.filterwarnings("ignore:.*compare with no others")
def test_a_made_up_model_gets_the_table_computed_by_hand(tmp_path):
    data = _data(tmp_path / "data", ("multi30k_captions", ["de", "fr"], BENCHMARKS["multi30k_translation"].splits[:1]))
    half = Stub(text=lambda row: row["target"] if int(row["key"].rpartition("/")[2][0]) < 3 else "")
    splits = ["test_2016_flickr"]
    results = run_benchmark("multi30k_translation", half, "half", data, tmp_path / "out", GREEDY, splits=splits)
    assert results["scores"]["test_2016_flickr/de"]["exact"] == 50.0
    assert results["aggregate"] == {}
    assert "tok:13a" in results["signatures"]["test_2016_flickr/de"]["bleu"]
    table = markdown(results)
    assert "| test_2016_flickr/de |" in table
    assert results["label"] == "measured-here"


class _WordProcessor:
    """Stand in for the processor of a native Florence-2: a square image and prompt ids."""

    def __call__(self, images, text, padding, return_tensors):
        tokens = torch.tensor([[0, *[9] * 5, 12, 2]] * len(images))
        return {"pixel_values": torch.rand(len(images), 3, 64, 64), "input_ids": tokens}

    def batch_decode(self, ids, skip_special_tokens):
        return [" ".join(f"w{number}" for number in row.tolist()) for row in ids]


def _florence() -> Florence2Model:
    text = {"model_type": "bart", "vocab_size": 60, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1}
    text |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    vision = {"embed_dim": [8, 16, 16, 32], "depths": [1] * 4, "num_heads": [1, 2, 2, 2], "num_groups": [1, 2, 2, 2]}
    config = Florence2Config(
        text_config={**text, "max_position_embeddings": 64},
        vision_config={**vision, "window_size": 4, "projection_dim": 32},
        image_token_id=9,
    )
    torch.manual_seed(0)
    model = object.__new__(Florence2Model)
    model.model, model.processor = Florence2ForConditionalGeneration(config).eval(), _WordProcessor()
    return model


def _nllb() -> NllbModel:
    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=400, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64,
    )  # fmt: skip
    model = object.__new__(NllbModel)
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    model.model, model.tokenizer = M2M100ForConditionalGeneration(config).eval(), build_tokenizer(names, 80)
    return model


CHAT = (
    "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}"
    "{% endif %}{% endfor %}{% endfor %}"
)


def _llava() -> ChatModel:
    torch.manual_seed(0)
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = build_tokenizer(names, 200)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=32,
            patch_size=16,
        ),
        text_config=LlamaConfig(
            vocab_size=400, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    size = {"height": 32, "width": 32}
    model = object.__new__(ChatModel)
    model.model = LlavaForConditionalGeneration(config).eval()
    model.processor = LlavaProcessor(
        CLIPImageProcessorPil(size=size, crop_size=size),
        tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
    return model


@pytest.mark.filterwarnings("ignore:.*compare with no others")
def test_a_chat_model_goes_through_the_same_runner(tmp_path):
    data = _data(tmp_path / "multi30k", ("multi30k_captions", ["de", "fr"], ["test_2016_flickr", "test_2016"]))
    for name, splits in (("multi30k_captioning", None), ("multi30k_translation", ["test_2016_flickr"])):
        results = run_benchmark(name, _llava(), "llava", data, tmp_path / "out", GREEDY, ["de"], splits)
        assert results["samples_per_second"] > 0
        entries = JsonLines(next((tmp_path / "out" / name).glob("*.jsonl")), "key").entries
        assert len(entries) == 6
        assert all("Answer" not in entry["text"] for entry in entries.values())


@pytest.mark.filterwarnings("ignore:.*compare with no others")
def test_florence_2_a_translator_and_both_in_a_row_go_through_the_same_runner(tmp_path):
    coco = _data(tmp_path / "coco", ("coco_karpathy", ["en"], ["test"]))
    multi30k = _data(tmp_path / "multi30k", ("multi30k_captions", ["de", "fr"], ["test_2016_flickr", "test_2016"]))
    runs = [
        ("coco_karpathy", _florence(), coco, ["en"], None),
        ("multi30k_translation", _nllb(), multi30k, ["de"], ["test_2016_flickr"]),
        ("multi30k_captioning", CascadeModel(_florence(), _nllb()), multi30k, ["de"], None),
    ]
    for name, model, data, languages, splits in runs:
        results = run_benchmark(name, model, "tiny", data, tmp_path / "out", GREEDY, languages, splits)
        assert json.loads((tmp_path / "out" / f"{name}.json").read_text()) == json.loads(json.dumps(results))
        assert all(0 <= value <= 100 for values in results["scores"].values() for value in values.values())
    with pytest.raises(ValueError, match="Florence-2 captions in English only"):
        run_benchmark("multi30k_captioning", _florence(), "tiny", multi30k, tmp_path / "no", GREEDY, ["de"])
    with pytest.raises(ValueError, match="a translator alone cannot caption"):
        run_benchmark("coco_karpathy", _nllb(), "tiny", coco, tmp_path / "no2", GREEDY)


BAD = {
    "language": (["--benchmark", "emoji_scenes", "--languages", "it"], "language of emoji_scenes must be one of en"),
    "split": (["--benchmark", "emoji_scenes", "--split", "train"], "split of emoji_scenes must be one of caption"),
    "data": (["--benchmark", "xm3600", "--data", "nowhere"], "xm3600 needs the folder nowhere/xm3600"),
    "benchmark": (["--benchmark", "flickr"], "invalid choice: 'flickr'"),
    "limit": (["--benchmark", "emoji_scenes", "--limit", "0"], "invalid whole number of at least 1 value: '0'"),
    "none": ([], "one of the arguments --benchmark --all is required"),
    "beams": (["--benchmark", "emoji_scenes", "--beams", "x"], "invalid whole number of at least 1 value: 'x'"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_a_bad_evaluation_is_refused_in_one_sentence(case, capsys):
    arguments, words = BAD[case]
    try:
        code = main(["evaluate", "florenz-tiny", *arguments])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    captured = capsys.readouterr().err
    assert words in captured
    assert "Traceback" not in captured


def test_a_model_that_is_none_is_refused_in_one_sentence(capsys):
    assert main(["evaluate", "./nowhere", "--benchmark", "emoji_scenes"]) == 2
    assert "could not be read" in capsys.readouterr().err


def test_compare_tells_a_real_difference_from_none(tmp_path, capsys):
    def run(name, share):
        wrong = Stub(text=lambda row: row["target"] if int(row["key"]) % 10 < share else "x")
        run_benchmark("emoji_scenes", wrong, name, tmp_path, tmp_path / name, GREEDY, ["de"], ["caption"], limit=60)

    run("worse", 3)
    run("better", 9)
    run("same", 3)
    assert main(["compare", str(tmp_path / "worse"), str(tmp_path / "better")]) == 0
    assert "caption/de exact: +60.00" in (text := capsys.readouterr().out)
    assert "a real difference" in text
    assert main(["compare", str(tmp_path / "worse"), str(tmp_path / "same")]) == 0
    assert "no real difference" in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "worse"), str(tmp_path)]) == 2


def test_parts_of_the_emoji_world_translate_from_english_only():
    assert ("translate", "en") not in parts_of("emoji_scenes", None, None)
    assert ("caption", "en") in parts_of("emoji_scenes", None, None)


def test_losses_are_cross_entropies_of_the_targets_unweighted_over_rows(tmp_path):
    from modeling_florenz.evaluation.benchmarks import load_part
    from modeling_florenz.inference.baselines import FlorenzModel
    from modeling_florenz.inference.captioner import Captioner

    model = FlorenzModel("florenz-tiny")
    options = {"languages": ["de"], "splits": ["caption"], "limit": 3, "batch_size": 2, "losses": True}
    results = run_benchmark("emoji_scenes", model, "florenz-tiny", tmp_path, tmp_path / "out", GREEDY, **options)
    captioner, wanted = Captioner(), []
    for row in load_part("emoji_scenes", tmp_path, "caption", "de", False, 3):
        columns = {"images": row["image"], "task": "caption", "language": "de", "target": row["target"]}
        with torch.no_grad():
            wanted.append(captioner.model(**captioner.processor(**columns)).loss.item())
    assert results["scores"]["caption/de"]["loss"] == pytest.approx(sum(wanted) / 3, abs=1e-5)
    with pytest.raises(ValueError, match="gives no cross-entropies"):
        run_benchmark("emoji_scenes", Stub(), "stub", tmp_path, tmp_path / "stub", GREEDY, **options)


SAMPLES = {
    "multi30k_translation": ("multi30k_translation", BENCHMARKS["multi30k_translation"].splits),
    "multi30k_captioning": ("multi30k_captions", ("test_2016",)),
    "commute": ("commute", ("test",)),
    "xm3600": ("xm3600", ("test",)),
    "coco_karpathy": ("coco_karpathy", ("test",)),
    "docci": ("docci", ("test",)),
    "image_paragraphs": ("image_paragraphs", ("test",)),
}


@pytest.mark.filterwarnings("ignore:.*compare with no others")
@pytest.mark.parametrize("name", [*SAMPLES, "emoji_scenes"])
def test_a_model_that_writes_the_reference_gets_full_marks_on_every_benchmark(name, tmp_path):
    languages = [code for code in BENCHMARKS[name].languages if code != "en"] or ["en"]
    dataset, splits = SAMPLES.get(name, (name, None))
    _data(tmp_path, (dataset, languages, splits or ()))
    oracle = Stub(perplexity=lambda row, target: 1.0 if target == row["target"] else 2.0)
    limit = 6 if name == "emoji_scenes" else None
    results = run_benchmark(name, oracle, "oracle", tmp_path, tmp_path / "out", GREEDY, languages, splits, limit)
    full = {"bleu": 100, "chrf": 100, "exact": 100, "accuracy": 100, "bleu_4": 100, "rouge_l": 100, "objects": 100}
    for values in results["scores"].values():
        for measure, value in values.items():
            if measure in full:
                assert value == pytest.approx(full[measure], abs=1e-3), measure
            elif measure == "cider":  # 1,000 if all sentences are different
                assert value > 500
    assert set(results["rows"].values()) == {6}


@pytest.mark.filterwarnings("ignore:.*compare with no others")
def test_clipscore_is_the_cosine_of_image_and_caption(tmp_path):
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = build_tokenizer(names, 200)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": 400, "eos_token_id": tokenizer.eos_token_id, "max_position_embeddings": 77}
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config={**small, "image_size": 32, "patch_size": 16}))
    model.save_pretrained(tmp_path / "clip")
    tokenizer.save_pretrained(tmp_path / "clip")
    CLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False).save_pretrained(tmp_path / "clip")
    clip = ClipScorer(str(tmp_path / "clip"))
    data = _data(tmp_path / "coco", ("coco_karpathy", ["en"], ["test"]))
    results = run_benchmark("coco_karpathy", Stub(), "stub", data, tmp_path / "out", GREEDY, clip=clip)
    image, caption = Image.new("RGB", (40, 30), "red"), "a red picture"
    pixels = clip.image_processor([image], return_tensors="pt")["pixel_values"]
    vectors = (
        clip.model.get_image_features(pixel_values=pixels).pooler_output,
        clip.model.get_text_features(**tokenizer(caption, return_tensors="pt")).pooler_output,
    )
    wanted = 250 * max(0.0, torch.nn.functional.cosine_similarity(*vectors).item())
    assert clip.score([image], [caption])[0] == pytest.approx(wanted, abs=1e-3)
    assert 0 <= results["scores"]["test/en"]["clipscore"] <= 250
    with pytest.raises(ValueError, match="the CLIP model nowhere could not be read"):
        ClipScorer("nowhere")


def test_comet_says_what_to_install(tmp_path):
    if importlib.util.find_spec("comet") is not None:
        pytest.skip("unbabel-comet is installed")
    with pytest.raises(ValueError, match="pip install unbabel-comet"):
        comet(["a"], ["b"], ["c"])


@pytest.mark.filterwarnings("ignore:.*compare with no others")
def test_blip_2_captions_go_through_the_same_runner(tmp_path):
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Blip2Config(
        vision_config={**small, "image_size": 32, "patch_size": 16},
        qformer_config={**small, "encoder_hidden_size": 16, "vocab_size": 20},
        text_config={
            "model_type": "opt", "vocab_size": 400, "hidden_size": 16, "ffn_dim": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "word_embed_proj_dim": 16, "max_position_embeddings": 128,
        },
        num_query_tokens=2,
        image_token_index=399,
    )  # fmt: skip
    torch.manual_seed(0)
    model = object.__new__(PlainCaptioner)
    model.model = Blip2ForConditionalGeneration(config).eval()
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}

    class Processor:
        tokenizer = build_tokenizer(names, 200)

        def __call__(self, images, return_tensors):
            processor = CLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False)
            prompt = torch.tensor([[399, 399, 0]] * len(images))
            return {**processor(images, return_tensors="pt"), "input_ids": prompt}

        def batch_decode(self, ids, skip_special_tokens):
            return self.tokenizer.batch_decode(ids, skip_special_tokens=skip_special_tokens)

    model.processor = Processor()
    data = _data(tmp_path / "multi30k", ("multi30k_captions", ["de"], ["test_2016"]))
    cascade = CascadeModel(model, _nllb())
    results = run_benchmark("multi30k_captioning", cascade, "blip-2+nllb", data, tmp_path / "out", GREEDY, ["de"])
    assert len(JsonLines(tmp_path / "out/multi30k_captioning/test_2016.de.caption.jsonl", "key").entries) == 6
    assert set(results["scores"]["test_2016/de"]) >= {"cider", "bleu_4", "language"}
