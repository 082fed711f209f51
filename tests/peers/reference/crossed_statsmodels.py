"""Make ``crossed_statsmodels.npz``: a model of two crossed effects, fitted by statsmodels.

Run it in an environment of its own: ``pip install statsmodels==0.15.0``.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf

ROWS, SIZES = 150, (12, 7)


def main() -> None:
    """Write the file beside this one."""
    draws = np.random.default_rng(0)
    groups = [draws.integers(0, size, ROWS) for size in SIZES]
    x = draws.normal(size=ROWS)
    y = 1.0 - 0.5 * x + draws.normal(size=ROWS)
    for codes, size, spread in zip(groups, SIZES, (1.0, 0.7), strict=True):
        y = y + spread * draws.normal(size=size)[codes]
    frame = pd.DataFrame({"y": y, "x": x, "one": 1, "a": groups[0], "b": groups[1]})
    crossed = {"a": "0 + C(a)", "b": "0 + C(b)"}
    found = smf.mixedlm("y ~ x", frame, groups="one", vc_formula=crossed).fit(reml=False)
    effects = found.random_effects[1].to_numpy()
    np.savez_compressed(
        Path(__file__).with_suffix(".npz"), y=y, x=x, groups=np.stack(groups),
        fixed=found.fe_params.to_numpy(), deviations=np.sqrt(found.vcomp),
        residual=np.sqrt(found.scale), deviance=-2 * found.llf, effects=effects,
    )  # fmt: skip


if __name__ == "__main__":
    main()
