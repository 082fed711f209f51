import json

import numpy as np
import pytest
from scipy.special import erf, softmax

from mtrec.fetch.encoders import encoder_folder
from mtrec.fetch.manifest import FetchError
from mtrec.settings import EmbedSettings
from mtrec.text import backbone, safetensors
from mtrec.text.embed import embed
from mtrec.text.weights import WeightsError
from tests import tiny_bert

MINILM = "all-minilm-l6-v2"
# Cosines that the publisher of MiniLM prints for these three, https://sbert.net (quickstart).
SENTENCES = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
COSINES = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_bert.write(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def minilm():
    try:
        return encoder_folder(MINILM)
    except FetchError as error:
        pytest.skip(str(error))


def numpy_states(get, tokens, layers, heads):
    """States after each block of a BERT, straight from its tensors: an independent forward pass."""

    def dense(x, name):
        return x @ get[f"{name}.weight"].T.astype("float64") + get[f"{name}.bias"]

    def norm(x, name):
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-12)
        return x * get[f"{name}.weight"] + get[f"{name}.bias"]

    x = get["embeddings.word_embeddings.weight"][tokens].astype("float64")
    x = x + get["embeddings.position_embeddings.weight"][: len(tokens)]
    x = norm(x + get["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    found = []
    for n in range(layers):
        where = f"encoder.layer.{n}"
        q, k, v = (
            dense(x, f"{where}.attention.self.{name}").reshape(len(tokens), heads, -1)
            for name in ("query", "key", "value")
        )
        scores = softmax(np.einsum("qhd,khd->hqk", q, k) / q.shape[-1] ** 0.5, axis=-1)
        mixed = np.einsum("hqk,khd->qhd", scores, v).reshape(len(tokens), -1)
        x = norm(
            x + dense(mixed, f"{where}.attention.output.dense"),
            f"{where}.attention.output.LayerNorm",
        )
        h = dense(x, f"{where}.intermediate.dense")
        h = h * (1 + erf(h / 2**0.5)) / 2
        x = norm(x + dense(h, f"{where}.output.dense"), f"{where}.output.LayerNorm")
        found.append(x)
    return found


def test_states_of_every_block_of_a_bert_equal_a_numpy_forward_pass(folder, tmp_path):
    model = backbone.load(str(folder), tmp_path, "float32")
    (tokens,) = model.tokens(["Toy storys. A film"], 64)
    assert [tiny_bert.WORDS[token] for token in tokens] == [
        "[CLS]", "toy", "story", "##s", ".", "a", "film", "[SEP]",
    ]  # fmt: skip
    expected = numpy_states(tiny_bert.arrays(), tokens, tiny_bert.LAYERS, tiny_bert.HEADS)
    for block in range(1, tiny_bert.LAYERS + 1):
        found = backbone.states(model, ["a film", "Toy storys. A film"], block, 64)[1]
        np.testing.assert_allclose(found, expected[block - 1], atol=1e-5)


def test_minilm_has_its_publishers_cosines(minilm, tmp_path):
    settings = EmbedSettings(preset=MINILM, layer=6, precision="float32", max_tokens=256)
    vectors = embed(SENTENCES, settings, tmp_path, tmp_path)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors @ vectors.T, COSINES, atol=1e-4)


def test_states_of_minilm_equal_a_numpy_forward_pass(minilm, tmp_path):
    model = backbone.load(MINILM, tmp_path, "float32")
    (tokens,) = model.tokens(["Amélie (2001), 12,345 € 👍"], 64)
    expected = numpy_states(safetensors.read(minilm / "model.safetensors"), tokens, 6, 12)
    for block in (1, 4, 6):
        (found,) = backbone.states(model, ["Amélie (2001), 12,345 € 👍"], block, 64)
        np.testing.assert_allclose(found, expected[block - 1], atol=2e-4)


def test_an_encoders_vector_is_the_mean_over_all_its_tokens(folder, tmp_path):
    settings = EmbedSettings(preset=str(folder), layer=2, precision="float32", max_tokens=8)
    model = backbone.load(str(folder), tmp_path, "float32")
    (expected,) = backbone.states(model, ["a toy story."], 2, 8)
    found = embed(["a toy story."], settings, tmp_path, tmp_path)
    np.testing.assert_allclose(found[0], expected.mean(axis=0), atol=1e-5)
    assert len(expected) == 6  # [CLS] and [SEP] are among them


def test_a_text_longer_than_the_models_positions_is_cut_and_keeps_its_end(folder, tmp_path):
    model = backbone.load(str(folder), tmp_path, "float32")
    (tokens,) = model.tokens(["toy " * 100], 2048)
    assert len(tokens) == tiny_bert.POSITIONS and tokens[-1] == tiny_bert.WORDS.index("[SEP]")


def test_fewer_blocks_of_a_bert_are_the_first_ones(folder, tmp_path):
    all_of, some = (backbone.load(str(folder), tmp_path, "float32", n) for n in (None, 2))
    assert some.layers == 2
    np.testing.assert_array_equal(
        backbone.states(all_of, ["a toy"], 2, 8)[0], backbone.states(some, ["a toy"], 2, 8)[0]
    )


@pytest.mark.parametrize("family", ["Albert", "Roberta", "DistilBert", "DebertaV3", "Bert"])
def test_states_of_any_encoder_end_in_what_its_backbone_returns(family):
    import keras_hub

    sizes = {"vocabulary_size": 20, "num_layers": 2, "num_heads": 2, "hidden_dim": 8,
             "intermediate_dim": 16, "max_sequence_length": 9}  # fmt: skip
    sizes |= {"embedding_dim": 4} if family == "Albert" else {}
    made = getattr(keras_hub.models, f"{family}Backbone")(**sizes)
    tokens = np.array([[3, 3, 3, 5], [7, 3, 0, 0]], "int32")
    model = backbone.LanguageModel(None, made, 2, None)
    assert len(backbone.block_outputs(made)) == 2
    found = np.asarray(backbone.hidden_states(model, tokens, tokens > 0, 2))
    given = {"token_ids": tokens, "padding_mask": (tokens > 0).astype("int32")}
    if "segment_ids" in made.input:
        given["segment_ids"] = np.zeros_like(tokens)
    expected = made(given)
    expected = expected["sequence_output"] if isinstance(expected, dict) else expected
    np.testing.assert_allclose(found[tokens > 0], np.asarray(expected)[tokens > 0], atol=1e-5)


def test_a_kerashub_encoder_from_a_local_folder_passes_by_the_same_path(tmp_path):
    import keras_hub

    folder = tmp_path / "preset"
    keras_hub.models.BertBackbone(10, 2, 2, 8, 16).save_to_preset(str(folder))
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "film", "toy", "story", "."]
    keras_hub.tokenizers.BertTokenizer(vocabulary, lowercase=True).save_to_preset(str(folder))
    model = backbone.load(str(folder), tmp_path, "float32")
    assert (model.start, model.end, model.dropped) == (2, 3, 0)
    assert [len(part) for part in backbone.states(model, ["a film", "toy"], 1, 8)] == [4, 3]
    settings = EmbedSettings(preset=str(folder), layer=2, precision="float32")
    assert embed(["a film", "toy"], settings, tmp_path, tmp_path / "cache").shape == (2, 8)


def test_another_model_in_the_same_folder_is_another_model(tmp_path):
    first = backbone.weights_identity(str(tiny_bert.write(tmp_path / "m")), tmp_path)
    assert backbone.weights_identity(str(tiny_bert.write(tmp_path / "m", 1)), tmp_path) != first


def test_weights_cut_short_are_refused_in_one_sentence(tmp_path):
    file = tiny_bert.write(tmp_path / "m") / "model.safetensors"
    whole = file.read_bytes()
    for size in (0, 5, 200, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(WeightsError, match="model.safetensors: not a readable safetensors"):
            backbone.load(str(file.parent), tmp_path, "float32")
    file.unlink()
    with pytest.raises(WeightsError, match="no such file"):
        backbone.load(str(file.parent), tmp_path, "float32")


def test_weights_of_another_size_are_refused(tmp_path):
    folder = tiny_bert.write(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 16}))
    with pytest.raises(WeightsError, match=r"word_embeddings.weight' is of shape \(10, 8\)"):
        backbone.load(str(folder), tmp_path, "float32")


def test_a_tokenizer_that_does_not_fit_is_refused(tmp_path):
    folder = tiny_bert.write(tmp_path, words=[*tiny_bert.WORDS, "more", "words"])
    with pytest.raises(WeightsError, match="has 12 tokens, the model embeddings for 10"):
        backbone.load(str(folder), tmp_path, "float32")
    tiny_bert.write(folder, words=["[UNK]", "toy"])
    with pytest.raises(WeightsError, match=r"no token \[CLS\] or no \[SEP\]"):
        backbone.load(str(folder), tmp_path, "float32")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match="not a readable tokenizer"):
        backbone.load(str(folder), tmp_path, "float32")


def test_more_blocks_than_an_encoder_has_are_refused(folder, tmp_path):
    settings = EmbedSettings(preset=str(folder), layer=8, precision="float32")
    with pytest.raises(ValueError, match="has 3 layers. Choose a smaller one"):
        embed(["a"], settings, tmp_path, tmp_path)


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F64", "I64"])
def test_arrays_of_every_type_are_read(tmp_path, dtype):
    values = np.array([[1.5, -2.0, 3.0]])
    raw = {
        "F16": lambda: values.astype("<f2"), "F64": lambda: values.astype("<f8"),
        "I64": lambda: values.astype("<i8"),
        "BF16": lambda: (values.astype("<f4").view("<u4") >> 16).astype("<u2"),
    }[dtype]().tobytes()  # fmt: skip
    header = {"x": {"dtype": dtype, "shape": [1, 3], "data_offsets": [0, len(raw)]}}
    text = json.dumps(header).encode()
    (tmp_path / "a").write_bytes(len(text).to_bytes(8, "little") + text + raw)
    found = safetensors.read(tmp_path / "a")["x"]
    np.testing.assert_array_equal(found, values.astype("int64") if dtype == "I64" else values)
