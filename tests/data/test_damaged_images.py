"""Thousands of damaged files: each is shown, or refused in one sentence that names it."""

import io

from damaged_images import damaged_files, good_files
from PIL import Image

from modeling_florenz.data.images import open_image


def test_the_files_to_be_damaged_are_good_ones_of_ten_kinds() -> None:
    for name, content in good_files().items():
        assert open_image(io.BytesIO(content), name).mode == "RGB", name
    assert len(good_files()) >= 10


def test_two_thousand_damaged_files_are_shown_or_refused_by_name() -> None:
    shown = refused = 0
    for name, content in damaged_files(2_000, seed=0):
        try:
            image = open_image(io.BytesIO(content), name)
        except ValueError as error:
            assert type(error) is ValueError, (name, error)
            assert str(error).startswith(name) and "\n" not in str(error), (name, error)
            refused += 1
        else:
            assert isinstance(image, Image.Image) and image.mode == "RGB", name
            shown += 1
    # The damage is neither too little nor too much to try both.
    assert shown > 200 and refused > 800
