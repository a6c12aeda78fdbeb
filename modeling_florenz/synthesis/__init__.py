"""Make training data: images are described, descriptions translated, and sentence pairs matched to images."""
