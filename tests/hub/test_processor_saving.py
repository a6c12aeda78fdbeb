"""The processor in chats and pipelines, and saved, with and without the package."""

import copy
import json
import os
import warnings
from pathlib import Path

import pytest
import torch
from forked import run_code
from processor_calls import RED
from tiny_models import tiny_model
from tiny_processor import build_tiny_processor
from transformers import AutoProcessor, CLIPImageProcessorPil, pipeline

from modeling_florenz import processing_florenz
from modeling_florenz.processing_florenz import (
    LANGUAGES,
    FlorenzProcessor,
)


CHAT = [{"role": "user", "content": [{"type": "image", "image": RED}, {"type": "text", "text": "What <s> is this?"}]}]


def test_a_chat_becomes_its_texts(processor):
    assert processor.apply_chat_template(CHAT) == "What <s> is this?"
    plain = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "What is this?"}]
    assert processor.apply_chat_template(plain, add_generation_prompt=True) == "Be kind. What is this?"


@pytest.mark.parametrize("batched", [False, True])
def test_a_tokenized_chat_equals_the_plain_call(processor, batched):
    settings = {"tokenize": True, "return_dict": True, "return_tensors": "pt", "add_generation_prompt": True}
    inputs = processor.apply_chat_template(copy.deepcopy([CHAT, CHAT] if batched else CHAT), **settings)
    expected = processor(images=[RED] * (1 + batched), text=["What <s> is this?"] * (1 + batched))
    assert set(inputs) == set(expected)
    assert all(torch.equal(inputs[name], expected[name]) for name in expected)


def test_the_pipeline_runs_on_images_batches_and_chats(processor):
    pipe = pipeline("image-text-to-text", model=tiny_model("bart"), processor=processor)
    settings = {"max_new_tokens": 4, "return_full_text": False}
    prompt = processor.prompt("caption", "de")
    single = pipe(images=RED, text=prompt, **settings)
    assert isinstance(single[0]["generated_text"], str) and single[0]["input_text"] == prompt
    batch = pipe(images=[RED, RED], text=[prompt, prompt], **settings)
    assert [row["generated_text"] for row in batch] == [single[0]["generated_text"]] * 2
    chat = copy.deepcopy(CHAT)
    chat[0]["content"][1]["text"] = prompt
    assert pipe(text=chat, **settings)[0]["generated_text"] == single[0]["generated_text"]


def test_pipeline_output_is_clean_unless_special_tokens_are_asked_for(processor):
    ids = torch.tensor([[1, 2, *processor.tokenizer("hund", add_special_tokens=False)["input_ids"], 1]])
    assert processor.post_process_image_text_to_text(ids) == ["Hund"]
    assert "<bos>" in processor.post_process_image_text_to_text(ids, skip_special_tokens=False)[0]


def test_model_input_names_are_those_of_an_image_and_a_prompt_lengths_first(processor):
    assert processor.model_input_names == ["input_ids", "attention_mask", "pixel_values"]


def assert_same(first: FlorenzProcessor, second: FlorenzProcessor) -> None:
    call = {"images": RED, "task": ["caption", "translate"], "language": "de", "text": [None, "A </s> dog."]}
    left = first(**call, target=["Ein Hund.", "x"], prefix=[True, "Un"])
    right = second(**call, target=["Ein Hund.", "x"], prefix=[True, "Un"])
    assert set(left) == set(right) and all(torch.equal(left[name], right[name]) for name in left)
    for name in ("languages", "prefixes", "max_prompt_length", "max_target_length", "chat_template"):
        assert getattr(first, name) == getattr(second, name)


def test_a_saved_processor_comes_back_whole_and_without_a_warning(tmp_path, caplog):
    tiny = build_tiny_processor()
    saved = FlorenzProcessor(
        tiny.image_processor,
        tiny.tokenizer,
        tiny.encoder_tokenizer,
        languages={**LANGUAGES, "it": "Italian"},
        prefixes={"de": "Auf dem Bild"},
        max_prompt_length=99,
        max_target_length=33,
        chat_template="{{ messages[0].content }}",
    )
    saved.save_pretrained(tmp_path / "one")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = AutoProcessor.from_pretrained(tmp_path / "one")
    assert type(loaded) is FlorenzProcessor and type(loaded.image_processor) is CLIPImageProcessorPil
    assert_same(saved, loaded)
    assert loaded.chat_template == "{{ messages[0].content }}" and loaded.prefixes == {"de": "Auf dem Bild"}
    assert (loaded.max_prompt_length, loaded.max_target_length) == (99, 33) and loaded.languages["it"] == "Italian"
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    loaded.save_pretrained(tmp_path / "two")
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert {Path("chat_template.jinja"), Path("processing_florenz.py"), Path("processor_config.json")} <= set(files)
    assert {Path("tokenizer.json"), Path("encoder_tokenizer/tokenizer.json")} <= set(files)
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    for folder in ("two", "two/encoder_tokenizer"):
        config = json.loads((tmp_path / folder / "tokenizer_config.json").read_text())
        assert not {"is_local", "local_files_only"} & set(config)
    config = json.loads((tmp_path / "two/processor_config.json").read_text())
    assert config["auto_map"]["AutoProcessor"] == "processing_florenz.FlorenzProcessor"


def test_one_tokenizer_may_serve_both_ends(tmp_path, processor):
    both = FlorenzProcessor(processor.image_processor, processor.tokenizer, processor.tokenizer)
    both.save_pretrained(tmp_path)
    assert_same(both, FlorenzProcessor.from_pretrained(tmp_path))


REMOTE = """
import sys, warnings
from pathlib import Path
from transformers import AutoProcessor
processor = AutoProcessor.from_pretrained(sys.argv[1], trust_remote_code=True)
assert "modeling_florenz" not in sys.modules
assert type(processor).__module__.startswith("transformers_modules"), type(processor)
processor.save_pretrained(sys.argv[2])
again = AutoProcessor.from_pretrained(sys.argv[2], trust_remote_code=True)
print(again(text="a </s> b", target="c", prefix="d")["input_ids"].tolist())
"""


def test_remote_code_loads_without_the_package_and_saves_a_whole_folder_again(tmp_path, processor):
    processor.save_pretrained(tmp_path / "one")
    environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"}
    done = run_code(REMOTE, str(tmp_path / "one"), str(tmp_path / "two"), env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == processor(text="a </s> b")["input_ids"].tolist()
    for path in (tmp_path / "one").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes(), path


def test_the_hub_module_imports_only_what_a_hub_user_has():
    source = Path(processing_florenz.__file__).read_text(encoding="utf-8")
    imports = [line.strip() for line in source.splitlines() if line.strip().startswith(("import ", "from "))]
    standard = {"copy", "reprlib", "threading", "typing", "warnings"}
    assert {line.split()[1].split(".")[0] for line in imports} == {*standard, "torch", "transformers"}
    assert "modeling_florenz" not in "".join(imports) and len(source.splitlines()) < 500
