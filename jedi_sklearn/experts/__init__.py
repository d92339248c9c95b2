"""Experts: an encoder and a linear head, split, fitted and run."""
