"""The estimator, and the steps of its fit."""
