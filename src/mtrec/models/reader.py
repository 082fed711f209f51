r"""What each task reads in a text: attention over its tokens' states, with a query per task.

The language model's states are fixed; how they are read is learnt with everything else. Of tokens
:math:`x_1 \dots x_n`, standardised and clipped, :math:`h_i = \mathrm{gelu}(x_i A + b)`. A task
:math:`t` attends with some heads, each to its part of :math:`h`,

.. math:: a_{ti} = \mathrm{softmax}_i (\langle q_t, h_i \rangle / \sqrt d), \qquad
          f_t = [\textstyle\sum_i a_{ti} h_i;\ \max_i h_i;\ \tfrac1n \sum_i h_i;\ \log n;\ n],

and takes :math:`[\mathrm{gelu}(f_t B_t);\ f_t C_t]`. Its query is made of its own description,
:math:`q_t = v_t U + r_t`, so that tasks with like descriptions begin alike.

Sources: Yang et al. 2016, "Hierarchical Attention Networks", https://aclanthology.org/N16-1174,
equation 5, for attention with a learnt query; Shen et al. 2018, https://arxiv.org/abs/1805.09843,
for mean and maximum beside each other.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mtrec.models.seeds import draw

CLIP = 6.0  # deviations; a few tokens have states a hundred times the usual size
LONG = 128.0  # tokens: the unit of a text's length


@keras.saving.register_keras_serializable("mtrec")
class TextReader(keras.layers.Layer):
    """Rows of users or items ``(batch,)`` -> what each task reads there ``(batch, tasks, width)``.

    While states are attached (:meth:`attach`), texts are read; a saved model looks the answers up
    in a table that :mod:`mtrec.training.reading` has filled.

    Args:
        rows: users or items, without the unknown one.
        tasks: number of tasks.
        state_width: width of a token's state, and of a vector of a task's text.
        units: width of the hidden states, a multiple of ``heads``.
        heads: of each task.
        width: of what a task takes: two thirds of it through gelu, the rest linear.
        dropout: share of a task's features dropped, 0 to 1.
        token_dropout: share of hidden states' entries dropped, 0 to 1.
    """

    def __init__(
        self,
        rows: int,
        tasks: int,
        state_width: int,
        units: int = 192,
        heads: int = 4,
        width: int = 96,
        dropout: float = 0.3,
        token_dropout: float = 0.1,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.rows, self.tasks, self.state_width = rows, tasks, state_width
        self.units, self.heads, self.width = units, heads, width
        self.dropout, self.token_dropout = dropout, token_dropout
        own = {"dtype": self.dtype_policy}  # a loaded layer's, whatever the process has
        self.project = keras.layers.Dense(units, activation="gelu", name="project", **own)
        self.drop_tokens = keras.layers.Dropout(
            token_dropout, seed=draw(), name="drop_tokens", **own
        )
        self.drop = keras.layers.Dropout(dropout, seed=draw(), name="drop", **own)
        self._texts = None

    def build(self, input_shape) -> None:
        """Create queries, projections and the table."""
        self.project.build((None, self.state_width))
        size, features = self.units // self.heads, 3 * self.units + 3
        fixed = {"trainable": False, "initializer": "zeros"}
        self.mean = self.add_weight(name="mean", shape=(self.state_width,), **fixed)
        self.scale = self.add_weight(
            name="scale", shape=(self.state_width,), initializer="ones", trainable=False
        )
        self.query = self.add_weight(
            name="query", shape=(self.tasks, self.heads, size), initializer="glorot_uniform"
        )
        self.text = self.add_weight(name="text", shape=(self.tasks, self.state_width), **fixed)
        self.from_text = self.add_weight(
            name="from_text", shape=(self.state_width, self.units), initializer="glorot_uniform"
        )
        limit = (6.0 / (features + self.width)) ** 0.5  # Glorot's, of each task's own matrix
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.tasks, features, self.width),
            initializer=keras.initializers.RandomUniform(-limit, limit),
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.tasks, self.width), initializer="zeros"
        )
        self.table = self.add_weight(
            name="table", shape=(self.rows + 1, self.tasks, self.width), **fixed
        )
        self.built = True

    def call(self, rows, training=None):
        """What each task reads in the texts of ``rows``."""
        if self._texts is None:
            return ops.take(self.table, rows, axis=0)
        import tensorflow as tf

        numbers, back = tf.unique(tf.gather(self._texts.number, rows))
        states, segments, lengths = self._texts.take(numbers)
        return tf.gather(self.read(states, segments, lengths, training), back)

    def attach(self, texts) -> None:
        """Read ``texts`` (:class:`mtrec.training.reading.Shelf`) from now on; None: the table."""
        self._texts = texts

    def read(self, states, segments, lengths, training=None):
        """What each task reads in some texts, ``(texts, tasks, width)``.

        Args:
            states: of the tokens of all texts, ``(tokens, state_width)`` float.
            segments: which text each token is of, ``(tokens,)``, ascending.
            lengths: tokens of each text, ``(texts,)``; 0 where there is none.
            training: whether to drop some of what is read.
        """
        texts = lengths.shape[0] or ops.shape(lengths)[0]
        hidden = self._hidden(states, training)
        weights = self._weights(hidden, segments, texts)
        count = ops.cast(lengths, hidden.dtype)[:, None]
        common = [
            ops.where(count > 0, ops.segment_max(hidden, segments, texts), 0.0),
            ops.segment_sum(hidden, segments, texts) / ops.maximum(count, 1.0),
            ops.log1p(count) / 5.0,
            count / LONG,
            ops.cast(count == 0, hidden.dtype),
        ]
        answers = []
        for task in range(self.tasks):
            seen = self._split(hidden) * weights[:, task, :, None]
            seen = ops.segment_sum(ops.reshape(seen, (-1, self.units)), segments, texts)
            features = self.drop(ops.concatenate([seen, *common], axis=-1), training=training)
            answers.append(ops.matmul(features, self.kernel[task]) + self.bias[task])
        found = ops.stack(answers, axis=1)
        bent = self.width * 2 // 3
        through = keras.activations.gelu(found[..., :bent])
        return ops.concatenate([through, found[..., bent:]], axis=-1)

    def attention(self, states, segments, texts: int):
        """Share of each task's attention that a token has in its text, ``(tokens, tasks)``.

        Args:
            states: as in :meth:`read`.
            segments: as in :meth:`read`.
            texts: their number.
        """
        return ops.mean(self._weights(self._hidden(states, False), segments, texts), axis=-1)

    def _hidden(self, states, training):
        x = ops.cast(states, self.compute_dtype)
        x = ops.clip((x - self.mean) / self.scale, -CLIP, CLIP)
        return self.drop_tokens(self.project(x), training=training)

    def _split(self, hidden):
        """Each head's part, ``(tokens, heads, units / heads)``."""
        return ops.reshape(hidden, (-1, self.heads, self.units // self.heads))

    def _weights(self, hidden, segments, texts):
        """Weights of attention, ``(tokens, tasks, heads)``."""
        own = ops.matmul(self.text, self.from_text)
        queries = self.query + ops.reshape(own, (self.tasks, self.heads, -1))
        scores = ops.einsum("nhd,thd->nth", self._split(hidden), queries)
        return _softmax(scores / (self.units // self.heads) ** 0.5, segments, texts)

    def compute_output_spec(self, rows, training=None):
        """``(batch, tasks, width)``."""
        return keras.KerasTensor((rows.shape[0], self.tasks, self.width), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Sizes; the texts are attached anew."""
        own = (
            "rows",
            "tasks",
            "state_width",
            "units",
            "heads",
            "width",
            "dropout",
            "token_dropout",
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


def _softmax(scores, segments, texts):
    """Softmax over the tokens of each text, ``(tokens, …)``."""
    top = ops.take(ops.segment_max(ops.stop_gradient(scores), segments, texts), segments, axis=0)
    raw = ops.exp(scores - top)
    total = ops.take(ops.segment_sum(raw, segments, texts), segments, axis=0)
    return raw / total
