"""Model card of skops with a front matter and pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

try:
    from skops.card import Card
except ImportError as error:
    raise ImportError(
        'A model card needs skops: pip install "jedi_sklearn[export,plot]"'
    ) from error


class ModelCard(Card):
    """Card whose file starts with the YAML that model hubs read.

    Parameters
    ----------
    model : estimator
        Model that the card describes.
    sections : dict of str to str
        Texts of the sections by title.
    metadata : dict of str to object
        Front matter.

    Attributes
    ----------
    metadata : dict of str to object
        Front matter, with values that JSON can hold.
    pictures : dict of str to bytes
        Contents of the files that `save` writes beside the card, by name. A file that
        the text does not name is not written.
    """

    def __init__(
        self, model: Any, sections: dict[str, str], metadata: dict[str, Any]
    ) -> None:
        super().__init__(model, model_diagram=False, template=sections)
        self.metadata = metadata
        self.pictures: dict[str, bytes] = {}

    def add_picture(self, section: str, name: str, content: bytes, text: str) -> None:
        """Add a section with a text and a picture below."""
        title = section.rpartition("/")[2]
        self.add(**{section: f"{text}\n\n![{title}]({name})"})
        self.pictures[name] = content

    def render(self) -> str:
        """Return the whole card."""
        return self._front_matter() + str(super().render())

    def save(self, path: str | Path, copy_files: bool = False) -> None:
        """Write the card, and the pictures beside it."""
        path = Path(path)
        super().save(path, copy_files=copy_files)
        text = path.read_text(encoding="utf-8")
        path.write_text(self._front_matter() + text, encoding="utf-8")
        for name, content in self.pictures.items():
            if f"]({name})" in text:
                (path.parent / name).write_bytes(content)

    def _front_matter(self) -> str:
        # JSON is YAML, too.
        lines = [
            f"{key}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in self.metadata.items()
        ]
        if "license" not in self.metadata:
            lines.append("# license: to be named by whoever publishes the model")
        return "\n".join(["---", *lines, "---", ""])
