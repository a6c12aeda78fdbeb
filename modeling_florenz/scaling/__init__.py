"""Experiments over arms, sizes, budgets and seeds in the emoji world."""
