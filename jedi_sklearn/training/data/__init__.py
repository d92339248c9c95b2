"""Rows of a training, and batches of them."""
