"""Task types by their name in ``params.yaml``; another type is one file and one line here."""

from mtrec.tasks.base import TaskType
from mtrec.tasks.binary import Binary
from mtrec.tasks.multiclass import Multiclass
from mtrec.tasks.multilabel import Multilabel
from mtrec.tasks.ranking import Ranking
from mtrec.tasks.regression import Regression

TASK_TYPES: dict[str, type[TaskType]] = {
    "binary": Binary,
    "multiclass": Multiclass,
    "regression": Regression,
    "multilabel": Multilabel,
    "ranking": Ranking,
}
