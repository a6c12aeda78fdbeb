"""A processor from the files of Florence-2 and Gemma 2: golden ids before and after saving, odd folders refused."""

import builtins
import json
import lzma
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer

from modeling_florenz.checkpoint.assembly import assemble_processor, load_florence_tokenizer, load_gemma_tokenizer
from modeling_florenz.checkpoint.vocabulary import FLORENCE_TOKENS
from modeling_florenz.processing_florenz import FlorenzProcessor, florenz_image_processor


FILES = Path(__file__).resolve().parents[3] / "shared" / "data" / "tokenizers"
FLORENCE = FILES / "florence2"
needs_files = pytest.mark.skipif(not FILES.is_dir(), reason=f"the real tokenizers are not at {FILES}")
LOADERS = [load_florence_tokenizer, load_gemma_tokenizer]


@pytest.fixture(scope="session")
def gemma_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not FILES.is_dir():
        pytest.skip(f"the real tokenizers are not at {FILES}")
    folder = tmp_path_factory.mktemp("gemma2")
    (folder / "tokenizer.json").write_bytes(lzma.decompress((FILES / "gemma2" / "tokenizer.json.xz").read_bytes()))
    shutil.copyfile(FILES / "gemma2" / "tokenizer_config.json", folder / "tokenizer_config.json")
    return folder


@pytest.fixture(scope="module")
def processor(gemma_folder: Path) -> FlorenzProcessor:
    return assemble_processor(FLORENCE, gemma_folder)


@pytest.fixture(scope="module")
def reloaded(processor: FlorenzProcessor, tmp_path_factory: pytest.TempPathFactory) -> FlorenzProcessor:
    folder = tmp_path_factory.mktemp("saved")
    processor.save_pretrained(folder)
    return FlorenzProcessor.from_pretrained(folder)


@pytest.fixture(params=["assembled", "reloaded"])
def either(request: pytest.FixtureRequest, processor: FlorenzProcessor) -> FlorenzProcessor:
    return processor if request.param == "assembled" else request.getfixturevalue("reloaded")


@pytest.fixture
def florence_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "florence"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "config.json"):
        shutil.copyfile(FLORENCE / name, folder / name)
    return folder


def change(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def split_files(folder: Path) -> Path:
    """Put vocab.json and merges.txt in the place of tokenizer.json."""
    path = folder / "tokenizer.json"
    model = json.loads(path.read_text(encoding="utf-8"))["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(model["merges"]), encoding="utf-8")
    path.unlink()
    return folder


def add_native_tokens(folder: Path, tokens: list[str]) -> None:
    first = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": index, "content": token, **first} for index, token in enumerate(tokens, 50265)]
    change(folder / "tokenizer.json", lambda content: content["added_tokens"].extend(added))


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ValueError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


# The real files


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


# Folders in other layouts


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


# Code in the folders


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


# Folders that do not fit


@needs_files
def test_swapped_folders_are_refused(gemma_folder):
    message = refusal(lambda: load_florence_tokenizer(gemma_folder))
    assert f"{gemma_folder} does not hold Florence-2's tokenizer: it has 256,000 entries, not the 50,265" in message
    message = refusal(lambda: load_gemma_tokenizer(FLORENCE))
    assert f"{FLORENCE} does not hold Gemma-2's tokenizer: it has 50," in message
    message = refusal(lambda: assemble_processor(gemma_folder, FLORENCE))
    assert f"{gemma_folder} does not hold" in message and "give the folder of microsoft/Florence-2-base" in message


def test_the_tokenizer_of_gemma_3_is_refused(tmp_path):
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *map(str, range(262_139))]
    entries = {word: index for index, word in enumerate(words)}
    Tokenizer(models.WordLevel(entries, "<unk>")).save(str(tmp_path / "tokenizer.json"))
    message = refusal(lambda: load_gemma_tokenizer(tmp_path))
    assert "it has 262,144 entries, not Gemma-2's 256,000; give the folder of google/gemma-2-2b" in message


@needs_files
def test_vocabularies_in_another_order_are_refused(florence_folder):
    def exchange(first: str, second: str) -> None:
        def swap(content: dict[str, Any]) -> None:
            vocab = content["model"]["vocab"]
            vocab[first], vocab[second] = vocab[second], vocab[first]

        change(florence_folder / "tokenizer.json", swap)

    exchange("<s>", "<pad>")
    assert "it has id 1 for bos, not Florence-2's 0" in refusal(lambda: load_florence_tokenizer(florence_folder))
    exchange("<s>", "<pad>")
    load_florence_tokenizer(florence_folder)
    exchange("What", "Ġimage")
    assert "not Florence-2's [2264, 473" in refusal(lambda: load_florence_tokenizer(florence_folder))


@needs_files
def test_gaps_and_lost_merges_are_refused(florence_folder):
    path = florence_folder / "tokenizer.json"
    change(path, lambda content: content["model"]["vocab"].update(dog=60_000))
    assert "it has no entry with id" in refusal(lambda: load_florence_tokenizer(florence_folder))
    shutil.copyfile(FLORENCE / "tokenizer.json", path)
    change(path, lambda content: content["model"]["merges"].__delitem__(slice(None, None, 2)))
    assert "it splits 'What does the image describe?'" in refusal(lambda: load_florence_tokenizer(florence_folder))


@needs_files
@pytest.mark.parametrize("tokens", [["<mine>"], [*FLORENCE_TOKENS, "<mine>"], ["</od>", "<od>"], ["<image>"]])
def test_words_that_a_fine_tuning_added_are_refused(florence_folder, tokens):
    add_native_tokens(florence_folder, tokens)
    assert "which Florence-2's does not" in refusal(lambda: load_florence_tokenizer(florence_folder))


@needs_files
def test_words_added_beside_vocab_and_merges_are_refused(florence_folder):
    folder = split_files(florence_folder)
    (folder / "added_tokens.json").write_text(json.dumps({"<od>": 50265}))
    assert len(load_florence_tokenizer(folder)) == 51_289
    (folder / "added_tokens.json").write_text(json.dumps({"<mine>": 50265}))
    assert "it adds '<mine>' with id 50265" in refusal(lambda: load_florence_tokenizer(folder))


@pytest.mark.parametrize("load", LOADERS)
def test_a_folder_that_is_not_there_is_refused(load, tmp_path):
    message = refusal(lambda: load(tmp_path / "nowhere"))
    assert f"{tmp_path / 'nowhere'} does not hold" in message and "there is no such folder; give the folder" in message
    (tmp_path / "file").write_text("{}")
    assert "there is no such folder" in refusal(lambda: load(tmp_path / "file"))


@pytest.mark.parametrize("load", LOADERS)
def test_a_missing_file_is_named(load, tmp_path):
    message = refusal(lambda: load(tmp_path))
    assert str(tmp_path) in message and "it lacks tokenizer.json" in message and "; give the folder of " in message


def test_a_vocabulary_without_merges_is_refused(tmp_path):
    (tmp_path / "vocab.json").write_text("{}")
    assert "it lacks merges.txt" in refusal(lambda: load_florence_tokenizer(tmp_path))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    assert "it has 0 entries, not the 50,265" in refusal(lambda: load_florence_tokenizer(tmp_path))
    (tmp_path / "vocab.json").write_text("{")
    assert str(tmp_path) in refusal(lambda: load_florence_tokenizer(tmp_path))


ODD_FILES = [
    "",
    "{",
    "[]",
    "null",
    "{}",
    '{"model": 3}',
    '{"model": {"vocab": [], "merges": []}}',
    '{"version": "1.0"}',
]
ODD_FILES += ['{"model": {"vocab": {"a": "b"}, "merges": [[1, 2]]}, "added_tokens": [{"id": 0, "content": "a"}]}']


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("content", [*ODD_FILES, b"\xff\xfe\x00"])
def test_broken_tokenizer_files_are_refused_in_one_sentence(load, content, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    message = refusal(lambda: load(tmp_path))
    assert message.startswith(f"{tmp_path} does not hold ") and "; give the folder of " in message


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (None, "it lacks preprocessor_config.json"),
        ("{", "could not be read"),
        ("[]", "holds no object"),
        ("{}", "sets do_center_crop to True, not False"),
        ('{"do_center_crop": false, "resample": 2}', "sets resample to"),
        ('{"do_center_crop": false, "image_mean": 3}', "sets image_mean to"),
        ('{"do_center_crop": false, "do_normalize": false}', "sets do_normalize to False, not True"),
    ],
)
def test_other_image_settings_are_refused(settings, reason, tmp_path):
    if settings is not None:
        (tmp_path / "preprocessor_config.json").write_text(settings)
    message = refusal(lambda: assemble_processor(tmp_path, tmp_path))
    assert message.startswith(f"{tmp_path} does not hold Florence-2's image settings: ") and reason in message


def test_right_image_settings_are_accepted_whatever_their_size(tmp_path):
    settings = {"do_center_crop": False, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    settings |= {"resample": 3, "size": {"height": 32, "width": 99}, "auto_map": {"AutoProcessor": "evil.Evil"}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    assert "does not hold Gemma-2's tokenizer" in refusal(lambda: assemble_processor(tmp_path, tmp_path))


@pytest.mark.parametrize("size", [0, -1, 2.5, "768", True, None])
def test_odd_image_sizes_are_refused(size, tmp_path):
    assert f"image_size is {size!r}: give" in refusal(lambda: assemble_processor(tmp_path, tmp_path, size))
