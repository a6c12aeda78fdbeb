"""Scores that need more than the predictions: CLIPScore, COMET."""

import importlib.util

import pytest
import torch
from evaluated_models import GREEDY, SMALL, TOKENS, Stub, write_samples
from PIL import Image
from tiny_processor import build_tokenizer
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from modeling_florenz.evaluation.metrics.clip_score import ClipScorer
from modeling_florenz.evaluation.metrics.comet import comet
from modeling_florenz.evaluation.run import EvaluationOptions, run_benchmark


@pytest.mark.filterwarnings("ignore:.*were published")
def test_clipscore_is_the_cosine_of_image_and_caption(tmp_path):
    tokenizer = build_tokenizer(TOKENS, 200)
    text = {**SMALL, "vocab_size": 400, "eos_token_id": tokenizer.eos_token_id, "max_position_embeddings": 77}
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config={**SMALL, "image_size": 32, "patch_size": 16}))
    model.save_pretrained(tmp_path / "clip")
    tokenizer.save_pretrained(tmp_path / "clip")
    CLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False).save_pretrained(tmp_path / "clip")
    clip = ClipScorer(str(tmp_path / "clip"))
    data = write_samples(tmp_path / "data", "coco_karpathy", ["en"], "test")
    options = EvaluationOptions("stub", data, tmp_path / "out", GREEDY, clip=clip)
    results = run_benchmark("coco_karpathy", Stub(), options)
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
