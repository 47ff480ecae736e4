"""Changes to a model on its way to a runtime that leave what it computes as it is."""
