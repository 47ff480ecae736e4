"""PyTorch's models: opened, exported, and compared with what came out."""
