"""Scores of captions and translations, offline and without Java; `evaluate` modules in front of them in `modules/`."""
