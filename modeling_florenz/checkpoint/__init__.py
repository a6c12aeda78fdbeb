"""Checkpoints: read from the research code, built from base models, written as complete folders."""
