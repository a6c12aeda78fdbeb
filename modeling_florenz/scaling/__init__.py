"""Experiments on emoji scenes over arms, sizes, budgets and seeds."""
