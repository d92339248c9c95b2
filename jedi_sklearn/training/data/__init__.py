"""Rows of the training, and batches of them."""
