"""YAML files by path, or by name if they come with the package."""

import os
import re
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mentor_pyg._util.files import check_file
from mentor_pyg.errors import InputError, brief, shown

MAX_VALUES = 10_000
"""Values of a file, those behind aliases counted as often as they are used."""

MAX_DEPTH = 50
"""Lists and mappings within one another."""

SUFFIXES = (".yaml", ".yml")


class Refused(yaml.YAMLError):
    """Good YAML that is refused; says what was found and expected."""


class Loader(yaml.SafeLoader):
    """Refuses repeated keys, of whose values YAML would keep the last alone, and what a few
    lines of aliases or brackets could blow up."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.num_values = self.depth = 0
        self.sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        before = self.num_values
        is_alias = self.check_event(yaml.AliasEvent)
        self.num_values += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Refused(f"is nested too deeply; expected at most {MAX_DEPTH} levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        if node is None:
            return node
        if not is_alias:
            self.sizes[node] = self.num_values - before
        elif node in self.sizes:
            self.num_values += self.sizes[node] - 1
        else:
            raise Refused("has an alias within what it stands for; expected none there")
        if self.num_values > MAX_VALUES:
            raise Refused(f"holds too many values; expected at most {MAX_VALUES}, with aliases")
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line, name = key.start_mark.line + 1, (key.tag, key.value)
                if name in lines:
                    raise Refused(
                        f"line {line} repeats '{brief(key.value)}' of line {lines[name]}; "
                        "expected each key once"
                    )
                lines[name] = line
        return node


def parse_yaml(text: str) -> Any:
    """The value of a text.

    Raises:
        Refused: If it repeats a key, or is too large or too deep.
        ValueError: If it isn't YAML.
    """
    try:
        return yaml.load(text, Loader)
    except Refused:
        raise
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError) as error:
        # The last three are what PyYAML raises for tags on other values, as in `!!int ''`.
        raise ValueError(str(error)) from None


def beside(file: str | Path, path: str) -> str:
    """A path that a YAML file names, which starts from the folder of that file.

    Args:
        file: The file. If it comes with the package, paths start from the working folder.
        path: The path, as it is written there.
    """
    path = os.path.expanduser(path)
    return str(Path(file).parent / path) if Path(file).suffix in SUFFIXES else path


# YAML 1.1 reads 010 as 8, and 1:30 as 90; as texts, they aren't taken for other numbers.
INT = "tag:yaml.org,2002:int"
Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if tag != INT]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    INT, re.compile(r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)$"), list("-+0123456789")
)


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

    def beside(self, file: str | Path, name: str) -> str:
        """One that another YAML file names, by name or by its path from that file's folder."""
        return beside(file, name) if Path(name).suffix in SUFFIXES else name

    def read(self, name: str | Path) -> dict[str, Any]:
        """The content of one.

        Raises:
            FileNotFoundError: If there is no such file.
            InputError: If there is no such name, it isn't a mapping in YAML, repeats a key, or
                is too large.
        """
        text = self._text(str(name))
        try:
            content = parse_yaml(text)
        except Refused as error:
            raise InputError(f"{name}: {error}") from None
        except ValueError as error:
            found = brief(error, 200)
            raise InputError(f"{name}: isn't YAML ({found}); expected a mapping") from None
        if not isinstance(content, dict) or not content:
            raise InputError(f"{name}: holds {shown(content)}; expected a mapping, a {self.kind}")
        return content

    def _text(self, name: str) -> str:
        path = Path(os.path.expanduser(name))
        if path.suffix in SUFFIXES:
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
            f"{self.kind} '{brief(name)}' is unknown; expected one of {', '.join(self.names())}, "
            "or a .yaml file"
        )


PRESETS = NamedYaml("preset", "runs/presets")
SPACES = NamedYaml("search space", "runs/presets/search")
PLANS = NamedYaml("plan", "experiments/plans")
