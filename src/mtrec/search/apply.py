"""Found settings in a domain's block of ``params.yaml``: shown as a diff, and written.

Only lines of the blocks that change are laid out anew, by ruamel.yaml, which keeps their comments;
all else stays byte for byte.
"""

from __future__ import annotations

import difflib
import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from mtrec.domains.own import block
from mtrec.paths import ConfigError
from mtrec.search.space import COMPONENTS, Chosen

INDENT = "    "  # of a block of a domain
WIDE = 10_000  # a block that was one line stays one


def proposed(text: str, domain: str, chosen: Chosen) -> str:
    """A parameter file with other settings in a domain's block.

    Args:
        text: of the file.
        domain: whose block.
        chosen: settings by dotted path; one that is common to all domains is left out.

    Raises:
        ConfigError: there is no such domain, or no block on lines of its own.

    Example:
        >>> text = "domains:\\n  a:\\n    training: {l2: 0.1}  # why\\n    tasks: {}\\n"
        >>> print(proposed(text, "a", {"training.l2": 0.2, "model_building.width": 8}), end="")
        domains:
          a:
            training: {l2: 0.2}  # why
            model_building: {width: 8}
            tasks: {}
    """
    blocks: dict[str, Chosen] = {}
    for key, value in chosen.items():
        if key != COMPONENTS:
            name, _, path = key.partition(".")
            blocks.setdefault(name, {})[path] = value
    for name, changes in blocks.items():
        text = _with_block(text, domain, name, changes)
    return text


def diff(old: str, new: str) -> str:
    """What changes, as a unified diff; empty if nothing does."""
    before, after = (part.splitlines(keepends=True) for part in (old, new))
    return "".join(difflib.unified_diff(before, after, "params.yaml", "params.yaml (found)", n=1))


def write(file: Path, text: str) -> None:
    """Replace the parameter file, whole; the old one stays if the new one is not valid.

    Raises:
        ConfigError: the new text is not a valid parameter file.
    """
    block.replace(file, text)


def _with_block(text: str, domain: str, name: str, changes: Chosen) -> str:
    lines, found = block.parsed(text)
    domains = found[block.KEY]
    own = domains.get(domain) if domains else None
    if not isinstance(own, CommentedMap) or own.fa.flow_style() or not own:
        raise ConfigError(
            f"params.yaml: there is no block of '{domain}' with a key on each line; what was found "
            "cannot be written into it."
        )
    if name not in own:
        at = own.lc.key("tasks")[0] if "tasks" in own else own.lc.key(next(iter(own)))[0]
        begin = end = at
        old = f"{name}: {{}}\n"
    else:
        begin = own.lc.key(name)[0]
        last = min(block.end_of(lines, found, block.KEY), block.end_of(lines, domains, domain))
        end = min(block.end_of(lines, own, name), last)
        while not lines[end - 1].strip():
            end -= 1
        old = "".join(line.removeprefix(INDENT) for line in lines[begin:end])
    new = _changed(old, name, changes)
    return "".join([*lines[:begin], *(INDENT + line for line in new), *lines[end:]])


def _changed(old: str, name: str, changes: Chosen) -> list[str]:
    """Lines of one block with other values; comments stay."""
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = WIDE, True
    yaml.representer.add_representer(type(None), _null)
    tree = yaml.load(old)
    if tree[name] is None:
        tree[name] = _empty()
    if not tree[name]:
        tree[name].fa.set_flow_style()  # ruamel.yaml takes an empty one for neither
    for path, value in changes.items():
        *parts, last = path.split(".")
        inner = tree[name]
        for part in parts:
            if not isinstance(inner.get(part), CommentedMap):
                inner[part] = _empty()
            inner = inner[part]
        inner[last] = value
    out = io.StringIO()
    yaml.dump(tree, out)
    return out.getvalue().splitlines(keepends=True)


def _empty() -> CommentedMap:
    made = CommentedMap()
    made.fa.set_flow_style()
    return made


def _null(representer: Any, value: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")
