"""Data: images with captions and translations."""
