"""A processor assembled from the published tokenizers gives the ids of the release."""

import builtins
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from published_tokenizers import FILES, FLORENCE, add_native_tokens, change, needs_files, split_files
from transformers import AutoTokenizer

from modeling_florenz.checkpoint.assembly import assemble_processor, load_florence_tokenizer
from modeling_florenz.checkpoint.vocabulary import FLORENCE_TOKENS
from modeling_florenz.processing_florenz import FlorenzProcessor, florenz_image_processor


@pytest.fixture(scope="module")
def processor(gemma_folder: Path) -> FlorenzProcessor:
    return assemble_processor(FLORENCE, gemma_folder)


@pytest.fixture(scope="module")
def reloaded(processor: FlorenzProcessor, tmp_path_factory: pytest.TempPathFactory) -> FlorenzProcessor:
    folder = tmp_path_factory.mktemp("saved")
    processor.save_pretrained(folder)
    return FlorenzProcessor.from_pretrained(folder)


@pytest.fixture(params=["assembled", pytest.param("reloaded", marks=pytest.mark.slow)])
def either(request: pytest.FixtureRequest, processor: FlorenzProcessor) -> FlorenzProcessor:
    return processor if request.param == "assembled" else request.getfixturevalue("reloaded")


@needs_files
def test_ids_are_the_golden_ones_before_and_after_saving(either):
    golden = json.loads((FILES / "golden_ids.json").read_text(encoding="utf-8"))
    assert len(golden["computed"]) == 51
    for case in golden["computed"]:
        assert either.tokenizer(case["text"])["input_ids"] == case["gemma2_bos_eos"], case
        assert either.encoder_tokenizer(case["text"])["input_ids"] == case["florence2_bos_eos"], case
    for text, ids in golden["published_gemma"]["cases"]:
        assert either.tokenizer(text)["input_ids"] == [*ids, 1], text


@needs_files
def test_both_tokenizers_pad_and_cut_on_the_right_and_keep_their_ends(either):
    for tokenizer, bos, eos, pad in ((either.tokenizer, 2, 1, 0), (either.encoder_tokenizer, 0, 2, 1)):
        ids = tokenizer(["A dog.", "A dog in the snow."], padding=True)["input_ids"]
        assert len(ids[0]) == len(ids[1])
        assert ids[0][0] == ids[1][0] == bos
        assert ids[1][-1] == eos and ids[0][-1] == pad
        assert tokenizer("A dog in the snow.", truncation=True, max_length=4)["input_ids"] == [*ids[1][:3], eos]
        assert tokenizer.model_max_length == 1024


@needs_files
def test_added_tokens_have_the_ids_of_the_release(either):
    tokenizer = either.encoder_tokenizer
    known = {"<od>": 50265, "</ocr>": 50268, "<loc_0>": 50269, "<loc_999>": 51268, "<cap>": 51269, "<sep>": 51279}
    known |= {"<region_to_desciption>": 51282, "<poly>": 51286, "<and>": 51288}
    assert {token: tokenizer.convert_tokens_to_ids(token) for token in known} == known
    assert tokenizer.convert_tokens_to_ids(list(FLORENCE_TOKENS)) == list(range(50265, 51289))
    assert len(tokenizer) == 51_289 and len(either.tokenizer) == 256_000
    assert tokenizer("<loc_7><od>")["input_ids"] == [0, 50276, 50265, 2]


@needs_files
def test_images_get_the_size_asked_for(gemma_folder, processor, reloaded):
    image = Image.linear_gradient("L").resize((90, 40)).convert("RGB")
    small = assemble_processor(FLORENCE, gemma_folder, image_size=64)(images=image, task="caption")["pixel_values"]
    assert small.shape == (1, 3, 64, 64)
    assert torch.equal(small[0], torch.as_tensor(florenz_image_processor(64)(image)["pixel_values"][0]))
    full = processor(images=image, task="caption")["pixel_values"]
    assert full.shape == (1, 3, 768, 768)
    assert torch.equal(reloaded(images=image, task="caption")["pixel_values"], full)


@needs_files
def test_a_batch_has_the_prompt_and_the_labels_of_the_release(either):
    batch = either(text="A dog.", task="translate", language="de", target="Ein Hund.")
    sentence = "The target language is German. Translate the following text: A dog."
    assert batch["input_ids"].tolist() == [either.encoder_tokenizer(sentence)["input_ids"]]
    assert batch["labels"].tolist() == [either.tokenizer("Ein Hund.")["input_ids"]]
    assert batch["labels"][0, 0] == 2 and batch["labels"][0, -1] == 1


@needs_files
def test_a_saved_processor_names_no_folder_of_its_origin(processor, gemma_folder, tmp_path):
    processor.save_pretrained(tmp_path)
    for path in tmp_path.rglob("*config.json"):
        text = path.read_text(encoding="utf-8")
        assert str(gemma_folder) not in text and str(FLORENCE) not in text and "local" not in text


@needs_files
def test_vocab_and_merges_give_the_ids_of_the_whole_tokenizer(florence_folder, processor):
    tokenizer = load_florence_tokenizer(split_files(florence_folder))
    assert tokenizer.get_vocab() == processor.encoder_tokenizer.get_vocab()
    for text in ("naïve café 🙂", "<s> </s> <mask>", "<od> a  b\n<loc_3>", " line"):
        assert tokenizer(text)["input_ids"] == processor.encoder_tokenizer(text)["input_ids"]


@needs_files
@pytest.mark.parametrize("tokens", [FLORENCE_TOKENS, (*FLORENCE_TOKENS, "<image>"), FLORENCE_TOKENS[:4]])
def test_folders_that_hold_added_tokens_already_give_the_same_ids(florence_folder, processor, tokens):
    add_native_tokens(florence_folder, list(tokens))
    tokenizer = load_florence_tokenizer(florence_folder)
    assert tokenizer.get_vocab() == processor.encoder_tokenizer.get_vocab()
    # No row of an encoder is for it, so it is spelt like any other text.
    assert max(tokenizer("<image>")["input_ids"]) < 50_265


@needs_files
def test_a_saved_encoder_tokenizer_can_be_loaded_as_a_source(processor, tmp_path):
    processor.encoder_tokenizer.save_pretrained(tmp_path)
    assert load_florence_tokenizer(tmp_path).get_vocab() == processor.encoder_tokenizer.get_vocab()


@needs_files
def test_settings_beside_the_words_change_nothing(florence_folder, processor):
    def prefix(content: dict[str, Any]) -> None:
        content["pre_tokenizer"]["add_prefix_space"] = True
        content["truncation"] = {"direction": "Left", "max_length": 3, "strategy": "LongestFirst", "stride": 0}

    change(florence_folder / "tokenizer.json", prefix)
    settings = {"bos_token": "<pad>", "padding_side": "left", "extra_special_tokens": ["<more>"]}
    (florence_folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = load_florence_tokenizer(florence_folder)
    assert tokenizer.get_vocab() == processor.encoder_tokenizer.get_vocab()
    assert tokenizer("A dog in the snow.")["input_ids"] == processor.encoder_tokenizer("A dog in the snow.").input_ids


@needs_files
def test_code_in_the_folders_is_neither_run_nor_asked_about(florence_folder, gemma_folder, monkeypatch):
    asked: list[object] = []
    monkeypatch.setattr(builtins, "input", lambda *prompt: asked.append(prompt) or "n")
    marker = florence_folder / "ran"
    (florence_folder / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\n\n\nclass Evil: pass\n")
    auto_map = {"AutoConfig": "evil.Evil", "AutoTokenizer": ["evil.Evil", "evil.Evil"], "AutoProcessor": "evil.Evil"}
    code = {"model_type": "evil", "tokenizer_class": "Evil", "auto_map": auto_map}
    for name in ("config.json", "tokenizer_config.json", "processor_config.json"):
        (florence_folder / name).write_text(json.dumps(code))
    gemma = florence_folder / "gemma"
    gemma.mkdir()
    shutil.copyfile(gemma_folder / "tokenizer.json", gemma / "tokenizer.json")
    for name in ("config.json", "tokenizer_config.json", "evil.py"):
        shutil.copyfile(florence_folder / name, gemma / name)
    processor = assemble_processor(florence_folder, gemma)
    assert (len(processor.encoder_tokenizer), len(processor.tokenizer)) == (51_289, 256_000)
    assert asked == []
    with pytest.raises(ValueError):  # negative control: the general loader does ask
        AutoTokenizer.from_pretrained(florence_folder)
    assert asked
    assert not marker.exists()
