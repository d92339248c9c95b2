"""Annotations and dumps of video datasets."""
