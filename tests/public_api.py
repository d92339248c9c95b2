"""What is public: the modules that say so, for the tests of all that they name."""

from __future__ import annotations

from pkgutil import walk_packages

import jedi_sklearn

# Rooms whose names users reach through another room.
INTERNAL = (
    *("classifier", "experts", "inputs", "models", "training", "utils"),
    *("encoders.video.annotations", "encoders.video.networks"),
    "encoders.video.reading",
)


def public_modules() -> list[str]:
    """Return the full names of the public modules, the package first."""
    found = walk_packages(jedi_sklearn.__path__, "jedi_sklearn.")
    names = ["jedi_sklearn", *(module.name for module in found)]
    public = [name for name in names if not any(p[0] == "_" for p in name.split("."))]
    internal = tuple(f"jedi_sklearn.{room}." for room in INTERNAL)
    return [name for name in public if not f"{name}.".startswith(internal)]
