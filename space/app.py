"""The Florenz Space: `python app.py` loads FLORENZ_MODEL (at FLORENZ_REVISION) or the bundled model and serves it."""

import os
import sys
import tempfile
from pathlib import Path

from waiting import waiting_room

from modeling_florenz.inference.arenas import limit_arenas


os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")


def main() -> int:
    """Load, build and serve until stopped; until then, tell that the model is loading."""
    limit_arenas()
    try:
        with tempfile.TemporaryDirectory() as folder:
            # A folder of its own, because what is old in there is deleted.
            os.environ.setdefault("GRADIO_TEMP_DIR", str(Path(folder) / "uploads"))
            with waiting_room() as port:
                # Importing these takes as long as a small model.
                from pages import load_pages
                from serving import leave, serve

                demo = load_pages(Path(folder))
            code = serve(demo, port)
        leave(code)
    except ValueError as error:
        print(f"florenz space: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
