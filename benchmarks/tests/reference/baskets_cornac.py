"""Make ``baskets_cornac.npz``: what cornac's next-basket systems say of a few drawn baskets.

Run it in an environment of its own: ``pip install cornac==3.0.1 similaripy==0.7.0``. cornac wants
similaripy 0.1.3, which no longer builds; the newer one's product of sparse matrices crashes in
UP-CF, so SciPy's takes its place.
"""

from pathlib import Path

import numpy as np
import similaripy
from cornac.data import BasketDataset
from cornac.models import TIFUKNN, UPCF, GPTop

HOUSEHOLDS, ITEMS = 12, 20  # few enough that similaripy's hundred neighbours are all of them
TIFU = ((0.9, 0.6, 3), (0.9, 0.7, 7))  # decays and groups, as published
UP_CF = ((0, 1, 0.25), (3, 2, 0.5))  # recency, locality, asymmetry


def main() -> None:
    """Write the file beside this one."""
    similaripy.dot_product = lambda left, right, verbose: left @ right
    draws = np.random.default_rng(0)
    lines = [
        (f"h{household:02}", f"h{household:02} b{basket:02}", f"i{item:02}", basket)
        for household in range(HOUSEHOLDS)
        for basket in range(draws.integers(2, 12))
        for item in draws.choice(ITEMS, draws.integers(1, 6), replace=False)
    ]
    every = BasketDataset.from_ubit(lines)
    histories = [found for _, _, [found] in every.ubi_iter(batch_size=1, shuffle=False)]
    found = {
        "lines": np.array(
            [
                (h, b, i)
                for h, baskets in enumerate(histories)
                for b, basket in enumerate(baskets)
                for i in basket
            ]
        )
    }
    for k, (within, between, groups) in enumerate(TIFU):
        model = TIFUKNN(
            within_decay_rate=within, group_decay_rate=between, n_groups=groups, n_neighbors=1
        ).fit(every)
        found[f"tifu_{k}"] = np.stack([model._compute_user_vector(each) for each in histories])
    for k, (recency, locality, asymmetry) in enumerate(UP_CF):
        rows = []
        for asked in range(HOUSEHOLDS):  # fitted without the asked one, which it adds to the others
            others = [line for line in lines if line[0] != f"h{asked:02}"]
            known = BasketDataset.build(others, fmt="UBIT", global_iid_map=every.iid_map.copy())
            model = UPCF(recency=recency, locality=locality, asymmetry=asymmetry).fit(known)
            model.user_item_matrix.sum_duplicates()
            model.user_item_matrix.data[:] = 1.0  # sets, as in the paper; cornac adds repeats up
            rows.append(model.score(0, histories[asked]))
        found[f"up_cf_{k}"] = np.stack(rows)
    top = GPTop().fit(every)
    found["top"] = np.stack([top.score(h, each) for h, each in enumerate(histories)])
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **found)


if __name__ == "__main__":
    main()
