"""Studies of jedi_sklearn, kept apart from the package."""
