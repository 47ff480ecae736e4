"""What a model's outputs are worth: metrics, and the intervals they lie in."""
