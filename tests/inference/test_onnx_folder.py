"""Which models are not exported, and which folders of graphs are not run."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from modeling_florenz import BUNDLED_MODEL, Captioner
from modeling_florenz.checkpoint.loading import load_model
from modeling_florenz.cli import main


for needed in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(needed)

GRAPHS = ("vision", "prompt_encoder", "cross_cache", "decoder_step")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder that has everything but graphs that could be run."""
    from modeling_florenz.inference.onnx_folder import OnnxManifest, file_digest, write_manifest

    skipped = shutil.ignore_patterns("*.safetensors", "*.png")
    out = shutil.copytree(BUNDLED_MODEL, tmp_path / "graphs", ignore=skipped)
    for name in GRAPHS:
        (out / f"{name}.onnx").write_bytes(name.encode())
    files = {path.name: file_digest(path) for path in out.glob("*.onnx")}
    write_manifest(out, OnnxManifest(20, 96, False, files, {}))
    return out


def change(folder: Path, **values: object) -> None:
    path = folder / "florenz_onnx.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_missing_a_changed_and_an_unnamed_graph_are_refused(folder: Path) -> None:
    graph = folder / "cross_cache.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(whole + b" ")
    with pytest.raises(ValueError, match=r"cross_cache.onnx was changed since it was written: write the folder again"):
        Captioner(folder)
    graph.unlink()
    with pytest.raises(ValueError, match=r"lacks cross_cache.onnx: write the folder again with florenz export"):
        Captioner(folder)
    change(folder, files={})
    with pytest.raises(ValueError, match="says nothing of vision.onnx"):
        Captioner(folder)


def test_a_manifest_that_names_files_elsewhere_is_refused(folder: Path) -> None:
    change(folder, files={"../config.json": "0"})
    with pytest.raises(ValueError, match=r"says nothing of \.\./config.json, or of a file elsewhere"):
        Captioner(folder)


def test_graphs_of_another_opset_and_broken_manifests_are_refused(folder: Path) -> None:
    change(folder, opset=12)
    with pytest.raises(ValueError, match="are of opset 12, and this runs 20"):
        Captioner(folder)
    change(folder, opset=20, files=[3])
    with pytest.raises(ValueError, match="is not a manifest of graphs"):
        Captioner(folder)
    (folder / "florenz_onnx.json").write_text("{")
    with pytest.raises(ValueError, match="could not be read"):
        Captioner(folder)


def test_graphs_of_another_size_than_their_processor_are_refused(folder: Path) -> None:
    change(folder, image_size=128)
    with pytest.raises(ValueError, match="take images of 128 px, but its processor makes 96 px"):
        Captioner(folder)


def test_what_is_no_graph_is_one_sentence(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"vision.onnx could not be loaded by ONNX Runtime"):
        Captioner(folder)


def test_what_reads_weights_says_that_graphs_have_none(folder: Path) -> None:
    with pytest.raises(ValueError, match="holds graphs of ONNX, which can only caption, translate and score"):
        load_model(folder)


@pytest.mark.parametrize(
    "given",
    [{"device": "cuda"}, {"quantize": "int8"}, {"adapter": "a"}, {"dtype": "bfloat16"}, {"compile": True}],
)
def test_what_graphs_cannot_do_is_refused(folder: Path, given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(given))} is for models of torch"):
        Captioner(folder, **given)


def test_adapters_quantised_models_and_graphs_are_not_exported(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(model: Path, *more: str) -> str:
        assert main(["export", str(model), str(tmp_path / "out"), *more]) == 2
        return capsys.readouterr().err

    assert "holds graphs already: give the model that they were made of" in refused(folder)
    (folder / "florenz_onnx.json").unlink()
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": {"quant_method": "torchao"}}))
    assert "is quantised, which has no graph: export the model it was made of, with --int8" in refused(folder)
    (folder / "adapter_config.json").write_text("{}")
    assert "holds an adapter: merge it first, with merge: true in its recipe" in refused(folder)
    assert not (tmp_path / "out").exists()


def test_sizes_that_do_not_fit_and_folders_that_are_there_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "florenz-tiny", str(tmp_path / "out"), "--image-size", "100"]) == 2
    assert "images of 100 px do not fit this model: use a square multiple of 16 px" in capsys.readouterr().err
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    assert main(["export", "florenz-tiny", str(tmp_path / "out")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_the_page_for_browsers_is_built_of_its_sources() -> None:
    folder = Path(main.__code__.co_filename).parents[1] / "browser"
    for name in ("index.html", "style.css"):
        assert (folder / "src" / name).read_text() == (folder / "page" / name).read_text(), "npm run build"
    built = "".join((folder / "page" / name).read_text() for name in ("app.js", "worker.js", "offline.js"))
    # Sentences that the build does not change.
    for source in ("app.js", "worker.js", "model.js", "compose.js"):
        for words in re.findall(r'"([A-Z][^"\n]{20,})"', (folder / "src" / source).read_text()):
            assert words in built, "npm run build"
    for name in ("wasm", "webgpu"):
        assert (folder / "page" / f"ort-{name}.wasm.xz").stat().st_size > 1e6
