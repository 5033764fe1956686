"""YAML files by path, or by name if they come with the package."""

import os
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mentor_pyg.errors import InputError
from mentor_pyg.files import check_file


class RepeatedKey(yaml.YAMLError):
    """A key that a mapping has twice."""


class Loader(yaml.SafeLoader):
    """Refuses repeated keys, of whose values YAML would keep the last alone."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line, name = key.start_mark.line + 1, (key.tag, key.value)
                if name in lines:
                    raise RepeatedKey(f"line {line} repeats '{key.value}' of line {lines[name]}")
                lines[name] = line
        return node


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
            InputError: If there is no such name, it isn't a mapping in YAML, or repeats a key.
        """
        text = self._text(str(name))
        try:
            content = yaml.load(text, Loader)
        except RepeatedKey as error:
            raise InputError(f"{name}: {error}; expected each key once") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            found = " ".join(str(error).split())
            raise InputError(f"{name}: isn't YAML ({found}); expected a mapping") from None
        if not isinstance(content, dict) or not content:
            raise InputError(f"{name}: holds {content!r}; expected a mapping, a {self.kind}")
        return content

    def _text(self, name: str) -> str:
        path = Path(os.path.expanduser(name))
        if path.suffix in (".yaml", ".yml"):
            check_file(path, f"a {self.kind} in YAML")
            try:
                return path.read_text(encoding="utf-8")
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
