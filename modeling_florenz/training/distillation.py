"""Learn from a teacher: at every token of a target, the student's probabilities come closer to the teacher's."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..checkpoint.loading import load_model, load_processor
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor


IGNORED = -100


def check_teacher(teacher: str, revision: str | None, processor: FlorenzProcessor) -> None:
    """Check, before any weights are loaded, that a teacher reads and writes as the student does.

    Args:
        teacher: folder or repository of a Florenz.
        revision: branch, tag or commit of the repository.
        processor: the student's.

    Raises:
        ValueError: there is no such model, or its tokenizers, prompts or images differ from the student's.
    """
    other = load_processor(teacher, revision)
    mine, its = (
        {
            "the vocabulary of targets": one.tokenizer.get_vocab(),
            "the vocabulary of prompts": one.encoder_tokenizer.get_vocab(),
            "the size of images": one.image_processor.size,
        }
        for one in (processor, other)
    )
    if differs := [name for name, value in mine.items() if its[name] != value]:
        raise ValueError(
            f"the teacher {teacher} differs from the model in {' and '.join(differs)}: take one of the same family"
        )


def load_teacher(
    teacher: str, revision: str | None, dtype: torch.dtype, device: torch.device
) -> FlorenzForConditionalGeneration:
    """Load a teacher onto a device; nothing will change it."""
    model = load_model(teacher, revision, dtype).eval().requires_grad_(False)
    nn.Module.to(model, device)
    return model


def distillation_loss(logits: Tensor, guide: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Return the divergence of the student from the teacher, summed over the target tokens (Hinton et al. 2015).

    Args:
        logits (`(batch, length, vocabulary)`): of the student.
        guide (`(batch, length, vocabulary)`): of the teacher; no gradient goes there.
        labels (`(batch, length)`): -100 where nothing is asked for.
        temperature: both are divided by it; the loss is multiplied by its square, which keeps gradients as large.

    Returns:
        a number, in nats.

    Example:

    ```python
    >>> logits, labels = torch.tensor([[[1.0, 0.0], [0.0, 5.0]]]), torch.tensor([[0, -100]])
    >>> round(distillation_loss(logits, torch.zeros(1, 2, 2), labels, 1.0).item(), 4)
    0.1201
    ```
    """
    asked = labels.ne(IGNORED)
    student, teacher = ((each[asked].float() / temperature).log_softmax(-1) for each in (logits, guide.detach()))
    return F.kl_div(student, teacher, reduction="sum", log_target=True) * temperature**2
