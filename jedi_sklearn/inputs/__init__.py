"""Rows, labels and weights as users give them, read once into one form."""
