"""Florenz: image captions and image-aware translation in six languages.

Importing the package is cheap: torch and transformers are imported with the first of its names that is used, and the
Auto classes learn of Florenz as soon as transformers is imported, before or after.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wrapt import register_post_import_hook


if TYPE_CHECKING:
    from .checkpoint.loading import BUNDLED_MODEL
    from .configuration_florenz import FlorenzConfig
    from .inference.captioner import Captioner, Score
    from .modeling_florenz import FlorenzForConditionalGeneration, FlorenzModel
    from .processing_florenz import FlorenzProcessor


__version__ = "0.1.0"

__all__ = [
    "BUNDLED_MODEL",
    "Captioner",
    "FlorenzConfig",
    "FlorenzForConditionalGeneration",
    "FlorenzModel",
    "FlorenzProcessor",
    "Score",
    "__version__",
]

_HOMES = {
    "BUNDLED_MODEL": "checkpoint.loading",
    "Captioner": "inference.captioner",
    "FlorenzConfig": "configuration_florenz",
    "FlorenzForConditionalGeneration": "modeling_florenz",
    "FlorenzModel": "modeling_florenz",
    "FlorenzProcessor": "processing_florenz",
    "Score": "inference.captioner",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# One after the other: whichever file of the package is imported first, each is whole before the next one needs it.
def _import_configuration(transformers: Any) -> None:
    import_module(f"{__name__}.configuration_florenz")


def _register_configuration(module: Any) -> None:
    from transformers import AutoConfig

    AutoConfig.register("florenz", module.FlorenzConfig)
    import_module(f"{__name__}.modeling_florenz")
    import_module(f"{__name__}.processing_florenz")


def _register_model(module: Any) -> None:
    from transformers import AutoModel, AutoModelForImageTextToText, AutoModelForSeq2SeqLM

    for auto_class in (AutoModel, AutoModelForImageTextToText, AutoModelForSeq2SeqLM):
        auto_class.register(module.FlorenzConfig, module.FlorenzForConditionalGeneration)


def _register_processor(module: Any) -> None:
    from transformers import AutoProcessor

    from .configuration_florenz import FlorenzConfig

    AutoProcessor.register(FlorenzConfig, module.FlorenzProcessor)


register_post_import_hook(_register_configuration, f"{__name__}.configuration_florenz")
register_post_import_hook(_register_model, f"{__name__}.modeling_florenz")
register_post_import_hook(_register_processor, f"{__name__}.processing_florenz")
register_post_import_hook(_import_configuration, "transformers")
