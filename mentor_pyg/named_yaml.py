"""YAML files by path, or by name if they come with the package."""

from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mentor_pyg.errors import InputError


class NamedYaml(NamedTuple):
    """A kind of YAML file.

    Attributes:
        kind: What one is called, e.g. :obj:`"preset"`.
        folder: Where those of the package lie, from ``mentor_pyg/``.
    """

    kind: str
    folder: str

    def names(self) -> list[str]:
        """Those that come with the package."""
        files = (resources.files("mentor_pyg") / self.folder).iterdir()
        return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))

    def read(self, name: str | Path) -> dict[str, Any]:
        """The content of one.

        Raises:
            FileNotFoundError: If there is no such file.
            InputError: If there is no such name, or it isn't a mapping in YAML.
        """
        try:
            content = yaml.safe_load(self._text(str(name)))
        except (yaml.YAMLError, ValueError) as error:
            found = " ".join(str(error).split())
            raise InputError(f"{name}: isn't YAML ({found}); expected a mapping") from None
        if not isinstance(content, dict) or not content:
            raise InputError(f"{name}: holds {content!r}; expected a mapping, a {self.kind}")
        return content

    def _text(self, name: str) -> str:
        path = Path(name)
        if path.suffix in (".yaml", ".yml"):
            try:
                return path.read_text(encoding="utf-8")
            except (FileNotFoundError, IsADirectoryError):
                raise FileNotFoundError(
                    f"{path}: not found; expected a {self.kind} in YAML"
                ) from None
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path}: byte {error.start} isn't UTF-8; expected a {self.kind} in YAML"
                ) from None
        if name in self.names():
            folder = resources.files("mentor_pyg") / self.folder
            return (folder / f"{name}.yaml").read_text("utf-8")
        raise InputError(
            f"{self.kind} '{name}' is unknown; expected one of {', '.join(self.names())}, "
            "or a .yaml file"
        )
