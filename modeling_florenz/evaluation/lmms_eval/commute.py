"""Write CoMMuTE for lmms-eval: a folder of parquet files, one configuration for each language.

CoMMuTE is published as texts and images in a git repository, and lmms-eval reads what `datasets` reads.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from datasets import Image
from datasets.table import embed_table_storage

from ...data.commute import load_commute
from ...resumable import whole_folder, write_text


COLUMNS = ["image", "source", "correct", "incorrect"]
LANGUAGES = ("de", "fr", "ru", "zh")


def write_commute(folder: str | Path, output: str | Path, languages: Sequence[str] = LANGUAGES) -> Path:
    """Write the test split in the languages given, with a card that names the configurations; return `output`.

    Args:
        folder: copy of the repository; see [`~modeling_florenz.data.commute.load_commute`].
        output: a new folder.
        languages: ISO 639-1 codes.

    Raises:
        ValueError: a language is not in the dataset, a file is missing or broken, or the folder is there already.

    Example:

    ```python
    >>> write_commute("CoMMuTE", "commute_parquet")  # doctest: +SKIP
    ```
    """
    rows = {language: load_commute(folder, language) for language in languages}
    with whole_folder(Path(output)) as partial:
        for language, dataset in rows.items():
            columns = dataset.rename_column("target", "correct").select_columns(COLUMNS).cast_column("image", Image())
            # The files themselves go in, not their paths.
            whole = columns.with_format("arrow").map(embed_table_storage, batched=True)
            whole.to_parquet(partial / language / "test-00000-of-00001.parquet")
        configs = "".join(
            f"- config_name: {language}\n  data_files:\n  - split: test\n    path: {language}/*.parquet\n"
            for language in languages
        )
        write_text(partial / "README.md", f"---\nlicense: cc-by-sa-4.0\nconfigs:\n{configs}---\n\n# CoMMuTE\n")
    return Path(output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=write_commute.__doc__)
    parser.add_argument("folder", type=Path, help="copy of the repository, with images")
    parser.add_argument("output", type=Path, help="a new folder")
    parser.add_argument("--languages", nargs="+", choices=LANGUAGES, default=list(LANGUAGES))
    arguments = parser.parse_args()
    print(write_commute(arguments.folder, arguments.output, arguments.languages))
