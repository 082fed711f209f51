"""Ours: a trained domain that is asked before each event, and told it after.

Given ``user``, ``item``, ``rating`` and ``time`` (s) of events, those of one moment in the order in
which they happened; options name the folder, the domain and a task with one number per row.

Answered, ``(n,)`` each: ``served`` by whoever leads the task and ``joint`` by the joint model, as
of the end of the data; ``told`` by the joint model as of the moment of each event, when all earlier
ones of the list have been told.
"""

import time
import warnings
from pathlib import Path

import exchange
import numpy as np
import pandas as pd

import mtrec
from mtrec.config import experiment
from mtrec.domains.online import online
from mtrec.models.predict import predict
from mtrec.service.state import State
from mtrec.serving import recommender
from mtrec.tables import schema


def main() -> None:
    """Answer."""
    data, options = exchange.given()
    started, root, task = time.monotonic(), Path(options["folder"]), options["task"]
    warnings.simplefilter("ignore", recommender.RequestWarning)  # films that nobody rated yet
    domain = options["domain"]
    joint = recommender.load(domain, root)
    pairs = pd.DataFrame({f"{side}_id": data[side].astype(str) for side in ("user", "item")})
    found = {
        name: one.score(pairs)[task].to_numpy("float64")
        for name, one in (("served", mtrec.load(domain, root)), ("joint", joint))
    }
    run = experiment(domain, root)
    rules = online(run.domain.module or domain, run.domain.data)
    state = State(joint, schema.read(run.paths.tables), run.domain.tasks, rules)
    order = np.argsort(data["time"], kind="stable")
    asked = [inputs(state, event) for event in events(data, order)]
    together = {name: np.concatenate([one[name] for one in asked]) for name in asked[0]}
    logits = predict(joint.model, together)[task]
    found["told"] = np.empty(len(order))
    found["told"][order] = np.asarray(state.types[task].predict(logits))
    exchange.answer("mtrec", started, **found)


def events(data, order):
    """As the service is told them."""
    columns = (data[name][order].tolist() for name in ("user", "item", "rating", "time"))
    for number, (user, item, rating, seconds) in enumerate(zip(*columns, strict=True)):
        yield {
            "event_id": str(number), "user_id": str(user), "item_id": str(item), "happened": True,
            "time": 1000 * seconds, "values": {"rating": float(rating)},
        }  # fmt: skip


def inputs(state, event):
    """The model's inputs at the moment of an event, which is told afterwards."""
    state.now = event["time"]
    rows = (
        np.array([ids.row.get(event[f"{side}_id"], 0)])
        for side, ids in (("user", state.users), ("item", state.items))
    )
    found = state.inputs(*rows)
    state.check(event)
    state.add(event)
    return found


if __name__ == "__main__":
    main()
