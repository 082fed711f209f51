"""What each task's head may see: its view, narrowed by ``features:``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mtrec.features.encoder import Encoder

if TYPE_CHECKING:
    from mtrec.settings import Task


@dataclass(frozen=True)
class Visible:
    """Names of the features a head may see, by part of the model.

    An empty part is not connected to the head at all.
    """

    user: tuple[str, ...] = ()
    item: tuple[str, ...] = ()
    history: bool = False
    user_context: tuple[str, ...] = ()
    item_context: tuple[str, ...] = ()
    joint_context: tuple[str, ...] = ()

    @property
    def joint(self) -> bool:
        """Whether user and item are both seen, so that their interaction is too."""
        return bool(self.user or self.history) and bool(self.item)


def visible(name: str, task: Task, encoder: Encoder) -> Visible:
    """What the head of task ``name`` may see.

    Raises:
        ValueError: ``features:`` names something that the task's view does not have.
    """
    user, item = task.view in ("user", "joint"), task.view in ("item", "joint")
    parts: dict[str, Any] = {
        "user": tuple(f.name for f in encoder.user.fields) if user else (),
        "item": tuple(f.name for f in encoder.item.fields) if item else (),
        "history": ("history",) if user else (),
    }
    seen = {"user": user, "item": item, "joint": task.view == "joint"}
    for side, scaler in encoder.contexts.items():
        parts[f"{side}_context"] = scaler.columns if seen[side] else ()
    if task.features is not None:
        known = {feature for names in parts.values() for feature in names}
        unknown = sorted(set(task.features) - known)
        if unknown:
            raise ValueError(
                f"task '{name}': features: names '{unknown[0]}', which a head with view "
                f"{task.view} does not have (it has: {', '.join(sorted(known))}). "
                "Mend features: in params.yaml."
            )
        parts = {
            part: tuple(feature for feature in names if feature in task.features)
            for part, names in parts.items()
        }
    parts["history"] = bool(parts["history"])
    return Visible(**parts)


def group(tasks: Mapping[str, Visible]) -> tuple[list[Visible], list[int]]:
    """Distinct visibilities, and the index of each task's among them."""
    groups = list(dict.fromkeys(tasks.values()))
    return groups, [groups.index(seen) for seen in tasks.values()]
