"""Emoji scenes: a small world of images and texts, its sprites, and the script that writes it as a dataset."""

from .coverage import Coverage
from .world import EmojiWorld, Scene


__all__ = ["Coverage", "EmojiWorld", "Scene"]
