"""Inference: caption, translate and score with a model, or with the baselines it is compared to."""
