"""Conversion of rows, labels and weights, however users give them, to one form."""
