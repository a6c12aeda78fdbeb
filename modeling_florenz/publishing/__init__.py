"""Publishing: cards of the sizes, files beside the weights, and the checks before a push."""
