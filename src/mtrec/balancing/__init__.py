"""Ways to balance the losses of several tasks, by their name in ``params.yaml``."""

from mtrec.balancing.aligned import AlignedMTL
from mtrec.balancing.base import Balancer
from mtrec.balancing.cagrad import CAGrad
from mtrec.balancing.dbmtl import DBMTL
from mtrec.balancing.dwa import DynamicWeightAverage
from mtrec.balancing.famo import FAMO
from mtrec.balancing.gradnorm import GradNorm
from mtrec.balancing.gradvac import GradVac
from mtrec.balancing.imtlg import IMTLG
from mtrec.balancing.mgda import MGDA
from mtrec.balancing.nashmtl import NashMTL
from mtrec.balancing.pcgrad import PCGrad
from mtrec.balancing.static import Static
from mtrec.balancing.uncertainty import Uncertainty

BALANCERS: dict[str, type[Balancer]] = {
    "static": Static,
    "uncertainty": Uncertainty,
    "dwa": DynamicWeightAverage,
    "gradnorm": GradNorm,
    "pcgrad": PCGrad,
    "gradvac": GradVac,
    "cagrad": CAGrad,
    "mgda": MGDA,
    "imtlg": IMTLG,
    "nashmtl": NashMTL,
    "famo": FAMO,
    "dbmtl": DBMTL,
    "aligned": AlignedMTL,
}


def make_balancer(name: str, tasks: int, seed: int = 0) -> Balancer:
    """Create the balancer called ``name`` with its paper's settings.

    Args:
        name: key of :data:`BALANCERS`.
        tasks: number of tasks.
        seed: of a method that draws at random.

    Raises:
        ValueError: no balancer has this name.
    """
    if name not in BALANCERS:
        known = ", ".join(BALANCERS)
        raise ValueError(f"balancing: '{name}' is not a known method; choose one of {known}.")
    return BALANCERS[name](tasks, seed)
