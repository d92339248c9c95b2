"""What is public: the modules that say so, for the tests of all that they name."""

from __future__ import annotations

from itertools import accumulate
from pkgutil import walk_packages

import jedi_sklearn

# Rooms that users reach through the names of the room above.
INTERNAL = {
    *("classifier", "experts", "inputs", "models", "training", "utils"),
    *(f"encoders.video.{room}" for room in ("annotations", "networks", "reading")),
}


def public_modules() -> list[str]:
    """Return the full names of the public modules, the package first."""
    found = walk_packages(jedi_sklearn.__path__, "jedi_sklearn.")
    names = ["jedi_sklearn", *(module.name for module in found)]
    public = [name for name in names if not any(p[0] == "_" for p in name.split("."))]
    return [name for name in public if not INTERNAL & set(rooms_of(name))]


def rooms_of(name: str) -> list[str]:
    """Return the rooms that a module is in, by their names within the package."""
    return [*accumulate(name.split(".")[1:], "{}.{}".format)]
