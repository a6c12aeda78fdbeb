"""Scores of captions and translations, offline and without Java; `modules/` holds `evaluate` modules for them."""
