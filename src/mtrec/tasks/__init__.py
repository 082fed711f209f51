"""Task types by their name in ``params.yaml``; another type is one file and one line here.

``lognormal`` is no name of its own there: :meth:`Regression.fit` turns into it by its loss, and a
saved model finds it here.
"""

from mtrec.tasks.base import TaskType
from mtrec.tasks.binary import Binary
from mtrec.tasks.lognormal import LogNormal
from mtrec.tasks.multiclass import Multiclass
from mtrec.tasks.multilabel import Multilabel
from mtrec.tasks.ordinal import Ordinal
from mtrec.tasks.ranking import Ranking
from mtrec.tasks.regression import Regression

TASK_TYPES: dict[str, type[TaskType]] = {
    "binary": Binary,
    "multiclass": Multiclass,
    "ordinal": Ordinal,
    "regression": Regression,
    "lognormal": LogNormal,
    "multilabel": Multilabel,
    "ranking": Ranking,
}
