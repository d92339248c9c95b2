"""A card of skops that has a front matter, and pictures that go beside it."""

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
    """A card whose file starts with YAML, as model hubs read it.

    Parameters
    ----------
    model : estimator
        What the card is of.
    sections : dict of str to str
        What is in it, by title.
    metadata : dict of str to object
        The front matter.

    Attributes
    ----------
    metadata : dict of str to object
        The front matter, values as JSON has them.
    pictures : dict of str to bytes
        Files that `save` writes beside the card where its text names them.
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
        # A value as JSON writes it is one in YAML, too.
        lines = [
            f"{key}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in self.metadata.items()
        ]
        if "license" not in self.metadata:
            lines.append("# license: to be named by whoever publishes the model")
        return "\n".join(["---", *lines, "---", ""])
