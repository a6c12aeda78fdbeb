"""Settings of a stranger's folder are refused in one sentence, quickly, and never run or load anything."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL, load
from modeling_florenz.cli import main
from modeling_florenz.inference.baselines import load_model as load_evaluated


EVIL = "raise SystemExit('the code of the folder ran')\n"


def write(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text)


def edit(name: str, part: str = "", **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        values = json.loads((folder / name).read_text())
        (values[part] if part else values).update(changes)
        (folder / name).write_text(json.dumps(values))

    return change


def config(part: str = "", **changes: Any) -> Callable[[Path], None]:
    return edit("config.json", part, **changes)


def processor(part: str = "", **changes: Any) -> Callable[[Path], None]:
    return edit("processor_config.json", part, **changes)


def search(**changes: Any) -> Callable[[Path], None]:
    return edit("generation_config.json", **changes)


DEEP = '{"model_type": "florenz", "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
HOSTILE = {
    "config: a list": (write("config.json", "[]"), "config.json holds a list"),
    "config: a text": (write("config.json", '"florenz"'), "config.json holds a str"),
    "config: deep": (write("config.json", DEEP), "could not be read: maximum recursion depth"),
    "config: rather deep": (config(x=json.loads("[" * 40 + "]" * 40)), "nested more than 32 deep"),
    "config: long number": (write("config.json", '{"x": ' + "9" * 5000 + "}"), "could not be read: Exceeds the limit"),
    "config: large": (config(x="x" * 2_000_000), "settings have at most 1,048,576"),
    "config: window 0": (config("vision_config", window_size=0), "window_size is 0"),
    "config: window -1": (config("vision_config", window_size=-1), "window_size is -1"),
    "config: window of a million": (config("vision_config", window_size=10**6), "window_size is 1000000"),
    "config: a text for a number": (config("encoder_config", d_model="160"), "'d_model'"),
    "config: many layers": (config("text_config", num_hidden_layers=10**9), "num_hidden_layers is 1000000000"),
    "config: large vocabulary": (config("text_config", vocab_size=10**12), "vocab_size is 1000000000000"),
    "config: many blocks": (config("vision_config", depths=[1, 1, 10**6, 1]), "depths is [1, 1, 1000000, 1]"),
    "config: wide padding": (config("vision_config", patch_padding=[10**6, 1, 1, 1]), "patch_padding has 1000000"),
    "config: other layer types": (config("text_config", layer_types=["chunked"] * 4), "layer_types"),
    "config: unknown activation": (config("encoder_config", activation_function="os.system"), "KeyError 'os.system'"),
    "config: a part that is a list": (config(text_config=[]), "text_config is []"),
    "config: fewer bits": (
        config(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
        "sets quantization_config",
    ),
    "config: fewer bits in a part": (config("text_config", quantization_config={}), "sets text_config.quantization"),
    "config: kernels of a repository": (config(_attn_implementation="evil/kernels"), "sets _attn_implementation"),
    "config: other weights": (config(transformers_weights="evil.bin"), "sets transformers_weights"),
    "config: tuples returned": (config(return_dict=False), "sets return_dict"),
    "config: dtype": (config(dtype="save"), "dtype is 'save', not one of float32"),
    "config: labels": (config(id2label="x"), "AttributeError"),
    "search: a list": (write("generation_config.json", "[]"), "generation_config.json holds a list"),
    "search: many beams": (search(num_beams=10**6), "num_beams is 1000000"),
    "search: without end": (search(max_new_tokens=10**9), "max_new_tokens is 1000000000"),
    "search: no token": (search(decoder_start_token_id=10**6), "decoder_start_token_id is 1000000"),
    "search: NaN": (search(length_penalty=float("nan")), "length_penalty is nan"),
    "search: cut by time": (search(max_time=0.01), "sets max_time"),
    "search: code of a repository": (search(custom_generate="evil/generate"), "sets custom_generate"),
    "processor: a list": (write("processor_config.json", "[]"), "processor_config.json holds a list"),
    "processor: gone": (lambda folder: (folder / "processor_config.json").unlink(), "lacks processor_config.json"),
    "processor: prompt of -5": (processor(max_prompt_length=-5), "`max_prompt_length` must be"),
    "processor: prompt as text": (processor(max_prompt_length="80"), "`max_prompt_length` must be"),
    "processor: no target": (processor(max_target_length=0), "`max_target_length` must be"),
    "processor: languages": (processor(languages=["en"]), "`languages` must map"),
    "processor: prefixes": (processor(prefixes={"en": None}), "`prefixes` must map"),
    "processor: huge images": (
        processor("image_processor", size={"height": 10**6, "width": 10**6}),
        "images of 1000000 px do not fit this model",
    ),
    "processor: images as they are": (processor("image_processor", do_resize=False), "must be resized to a square"),
    "processor: a crop": (processor("image_processor", do_center_crop=True), "do_center_crop is True"),
    "processor: no filter": (processor("image_processor", resample=99), "resample is 99"),
    "processor: division by 0": (processor("image_processor", image_std=[0, 1, 1]), "image_std is"),
    "processor: NaN": (processor("image_processor", image_mean=[float("nan"), 0, 0]), "not three numbers"),
    "processor: black": (processor("image_processor", rescale_factor=0), "rescale_factor is 0"),
    "processor: raw pixels": (processor("image_processor", do_normalize=False), "do_normalize is False"),
    "tokenizer: a list": (write("tokenizer_config.json", "[]"), "tokenizer_config.json holds a list"),
    "tokenizer: broken": (write("tokenizer.json", "{}"), "the processor of"),
    "tokenizer: code": (
        write(
            "tokenizer_config.json", '{"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", null]}}'
        ),
        "contains custom code",
    ),
    "tokenizer: another's": (
        lambda folder: shutil.copyfile(folder / "tokenizer.json", folder / "encoder_tokenizer/tokenizer.json"),
        "the encoder_tokenizer has the id",
    ),
    "folder: an adapter too": (write("adapter_config.json", "{}"), "holds a model and an adapter"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_settings_get_one_sentence(case: str, tmp_path: Path) -> None:
    change, words = HOSTILE[case]
    folder = tmp_path / "model"
    shutil.copytree(BUNDLED_MODEL, folder)
    (folder / "evil.py").write_text(EVIL)
    change(folder)
    with pytest.raises(ValueError) as error:
        load(folder)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500 + 3 * len(str(folder))


@pytest.mark.parametrize("case", ["config: window 0", "search: many beams", "processor: prompt of -5"])
def test_the_command_ends_with_code_2_and_without_output(case: str, tmp_path: Path, capsys) -> None:
    change, words = HOSTILE[case]
    shutil.copytree(BUNDLED_MODEL, tmp_path / "model")
    change(tmp_path / "model")
    assert main(["caption", str(BUNDLED_MODEL / "sample.png"), "--model", str(tmp_path / "model")]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert words in output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize(
    "case", ["config: a list", "config: deep", "config: many layers", "config: unknown activation", "config: labels"]
)
def test_inspection_and_evaluation_refuse_hostile_settings_too(case: str, tmp_path: Path, capsys) -> None:
    shutil.copytree(BUNDLED_MODEL, tmp_path / "model")
    HOSTILE[case][0](tmp_path / "model")
    assert main(["inspect", str(tmp_path / "model")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(ValueError) as error:
        load_evaluated(str(tmp_path / "model"))
    assert "\n" not in str(error.value)


def test_inspection_refuses_languages_that_are_no_names(tmp_path: Path, capsys) -> None:
    shutil.copytree(BUNDLED_MODEL, tmp_path / "model")
    processor(languages=[1])(tmp_path / "model")
    assert main(["inspect", str(tmp_path / "model")]) == 2
    assert "`languages` must map codes of languages to texts" in capsys.readouterr().err


def test_names_of_code_in_a_folder_change_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(BUNDLED_MODEL, folder)
    (folder / "evil.py").write_text(EVIL)
    config(auto_map={"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"})(folder)
    processor(auto_map={"AutoProcessor": "evil.Evil"}, processor_class="Evil")(folder)
    loaded = load(folder)
    assert loaded.model.config.auto_map["AutoConfig"] == "configuration_florenz.FlorenzConfig"


def test_an_adapter_given_as_the_model_is_named_as_one(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match="holds an adapter and no model: give it as the adapter"):
        load(tmp_path)
