"""Keep what `florenz-tiny` and its Italian adapter write about the sample image, for the top of their cards.

python -m modeling_florenz.tiny.sample_captions ADAPTER hub_cards/results/sample-captions.json
"""

import sys
from pathlib import Path
from typing import Any

from ..inference.captioner import SAMPLE_IMAGE, Captioner
from ..resumable import write_json
from ..run_record import run_record


def sample_captions(adapter: str | Path) -> dict[str, Any]:
    """Caption the sample image in every language.

    Args:
        adapter: folder or Hub repository of `florenz-tiny-it`.

    Returns:
        captions by model, way and language.
    """
    italian = Captioner(adapter=adapter)
    return {
        "florenz-tiny": {"direct": Captioner().caption_languages([SAMPLE_IMAGE])[0]},
        "florenz-tiny-it": {
            "direct": italian.caption_languages([SAMPLE_IMAGE], ["it"])[0],
            "by way of English": italian.caption_languages([SAMPLE_IMAGE], via="en")[0],
        },
    }


def main() -> None:
    adapter, output = sys.argv[1:]
    report = {
        "name": "captions of the sample image",
        "label": "measured-here",
        "protocol": "sample.png, shipped with florenz-tiny; 4 beams; by way of English: captioned in English, then "
        "translated beside the image; florenz-tiny-it is the adapter of the recipe add_language_lora",
        "captions": sample_captions(adapter),
    }
    write_json(Path(output), report | run_record())


if __name__ == "__main__":
    main()
