"""Video networks in plain torch, and their checkpoints."""
