"""Students and teachers after fit: NumPy weights, files and graphs; no torch."""
