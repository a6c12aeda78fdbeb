"""CLIPScore of captions: how close an image and a text are to each other, without references."""

from collections.abc import Sequence

import torch
from PIL import Image
from transformers import AutoTokenizer, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil


class ClipScorer:
    """Score English captions with a CLIP model (Hessel et al. 2021): 2.5 times the cosine, not below 0, times 100.

    Args:
        model: folder or Hub repository of a CLIP; the paper's is openai/clip-vit-base-patch32.

    Raises:
        ValueError: the model cannot be read.
    """

    def __init__(self, model: str = "openai/clip-vit-base-patch32") -> None:
        try:
            self.model = CLIPModel.from_pretrained(model).eval()
            self.tokenizer = AutoTokenizer.from_pretrained(model)
            self.image_processor = CLIPImageProcessorPil.from_pretrained(model)
        except (OSError, ValueError) as error:
            raise ValueError(f"the CLIP model {model} could not be read: {str(error).splitlines()[0]}") from None

    @torch.inference_mode()
    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """Return the CLIPScore of each caption with its image."""
        pixels = self.image_processor(list(images), return_tensors="pt")
        words = self.tokenizer(list(texts), padding=True, truncation=True, max_length=77, return_tensors="pt")
        outputs = self.model(**pixels, **words)
        cosines = torch.nn.functional.cosine_similarity(outputs.image_embeds, outputs.text_embeds)
        return (250 * cosines.clamp(min=0)).tolist()
