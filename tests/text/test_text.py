import shutil

import numpy as np
import pytest
from scipy.special import softmax
from threadpoolctl import threadpool_limits

from mtrec.settings import EmbedSettings
from mtrec.text import backbone
from mtrec.text.embed import count_tokens, embed, pool, reduce
from mtrec.text.weights import WeightsError, read_gguf
from tests.language_model import LAYERS, PRESET

CHAT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
ANSWER = "The capital of France is Paris."
SETTINGS = EmbedSettings(layer=2, precision="float32", batch_tokens=256, max_tokens=16)


@pytest.fixture(scope="module")
def file(raw_data):
    return read_gguf(raw_data / backbone.GGUF_PRESETS[PRESET])


@pytest.fixture(scope="module")
def model(raw_data):
    return backbone.load(PRESET, raw_data, "float32")


def numpy_states(file, tokens, layers):
    """States after each block, straight from the GGUF tensors: an independent forward pass."""
    get, length = file.tensors.__getitem__, len(tokens)
    size = file.width // file.heads
    x = get("token_embd.weight")[tokens].astype("float64")
    frequency = file.rope ** (-np.arange(0, size, 2) / size)
    angle = np.outer(np.arange(length), frequency)

    def norm(x, scale):
        return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + file.epsilon) * scale

    def rotate(x):  # (length, heads, size), halves one after the other
        a, b = np.split(x, 2, axis=-1)
        cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)

    mask = np.triu(np.full((length, length), -np.inf), 1)
    states = []
    for n in range(layers):

        def w(name, n=n):
            return get(f"blk.{n}.{name}.weight").astype("float64")

        h = norm(x, w("attn_norm"))
        q = rotate((h @ w("attn_q").T).reshape(length, file.heads, size))
        k = rotate((h @ w("attn_k").T).reshape(length, file.kv_heads, size))
        v = (h @ w("attn_v").T).reshape(length, file.kv_heads, size)
        k, v = (np.repeat(part, file.heads // file.kv_heads, axis=1) for part in (k, v))
        scores = softmax(np.einsum("qhd,khd->hqk", q, k) / size**0.5 + mask, axis=-1)
        x = x + np.einsum("hqk,khd->qhd", scores, v).reshape(length, -1) @ w("attn_output").T
        h = norm(x, w("ffn_norm"))
        gate = h @ w("ffn_gate").T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w("ffn_up").T)) @ w("ffn_down").T
        states.append(x)
    return states


def test_capital_of_france_is_paris(model):
    """Each token of the answer is the likeliest after those before it: greedy decoding, at once."""
    question, answer = CHAT.format("What is the capital of France?"), ANSWER
    asked = len(model.tokenizer([question])[0])
    batch = np.array(model.tokenizer([question + answer]), dtype="int32")
    states = backbone.hidden_states(model, batch, np.ones_like(batch, dtype=bool), model.layers)
    states = model.backbone.layer_norm(states[:, asked - 1 : -1])
    logits = np.asarray(model.backbone.token_embedding(states, reverse=True))
    assert model.tokenizer.detokenize(logits[0].argmax(axis=-1)) == answer


def test_hidden_states_of_three_layers_equal_a_numpy_forward_pass(model, file):
    tokens = model.tokenizer(["Toy Story (1995) is a film about toys."])[0]
    expected = numpy_states(file, tokens, 30)
    batch = np.array([tokens], dtype="int32")
    for layer in (1, 15, 30):
        found = backbone.hidden_states(model, batch, np.ones_like(batch, dtype=bool), layer)
        error = np.abs(np.array(found[0]) - expected[layer - 1]).max()
        assert error < 1e-3 * np.abs(expected[layer - 1]).max()


def test_digits_are_single_tokens_and_text_survives(model):
    texts = ["Amélie (2001), 12,345 €", "It's 3.14\n\ttabs  and   spaces", "<|im_start|>user"]
    for text, tokens in zip(texts, model.tokenizer(texts), strict=True):
        assert model.tokenizer.detokenize(tokens) == text
    assert len(model.tokenizer(["1995"])[0]) == 4
    assert model.tokenizer(["<|im_start|>"])[0] == [1]


def test_padding_and_batch_do_not_change_a_vector(tiny_raw, tmp_path):
    alone = embed(["Toy Story (1995)"], SETTINGS, tiny_raw, tmp_path / "a")
    many = ["Toy Story (1995)", "Heat (1995)", "A long title of many words, The (1996)"]
    together = embed(many, SETTINGS, tiny_raw, tmp_path / "b")
    np.testing.assert_allclose(together[0], alone[0], atol=1e-4)


def test_repeats_share_one_vector_and_order_is_kept(tiny_raw, tmp_path):
    found = embed(["b", "a", "b"], SETTINGS, tiny_raw, tmp_path)
    np.testing.assert_array_equal(found[0], found[2])
    assert not np.allclose(found[0], found[1])


def test_second_run_reads_the_cache_and_a_damaged_file_is_made_again(
    tiny_raw, tmp_path, monkeypatch
):
    first = embed(["a", "b"], SETTINGS, tiny_raw, tmp_path)
    monkeypatch.setattr("mtrec.text.backbone.load", None)  # the model is not needed
    np.testing.assert_array_equal(embed(["a", "b"], SETTINGS, tiny_raw, tmp_path), first)
    monkeypatch.undo()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:200])
    np.testing.assert_array_equal(embed(["a", "b"], SETTINGS, tiny_raw, tmp_path), first)


def test_settings_change_the_cache_key(tiny_raw, tmp_path):
    embed(["a"], SETTINGS, tiny_raw, tmp_path)
    embed(["a"], SETTINGS.model_copy(update={"layer": 1}), tiny_raw, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_pooling_equals_numpy():
    states = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    padding = np.array([[True, True, False], [True, True, True]])
    mean, last = (np.array(pool(states, padding, how)) for how in ("mean", "last"))
    np.testing.assert_allclose(mean[0], states[0, :2].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(last, [states[0, 1], states[1, 2]])


def test_long_texts_are_cut(tiny_raw):
    assert count_tokens(["word " * 100, "a"], SETTINGS, tiny_raw) == 16 + 1


def test_reduction_learns_from_training_rows_alone_and_weighs_as_one_category():
    rng = np.random.default_rng(0)
    vectors, fit = rng.normal(size=(300, 20)), np.arange(300) < 200
    vectors[7] = np.nan
    found, _ = reduce(vectors, fit, 5)
    other = np.where(fit[:, None], vectors, 100 * vectors)
    np.testing.assert_allclose(reduce(other, fit, 5)[0][fit], found[fit])
    known = found[fit & np.isfinite(found).all(axis=1)]
    assert (known**2).sum(axis=1).mean() == pytest.approx(1.0, abs=0.02)
    assert np.isnan(found[7]).all()


def test_kerashub_preset_takes_the_place_of_the_gguf_file(tmp_path):
    import keras_hub

    words = {"!": 0, "a": 1, "b": 2, "ab": 3, "<|begin_of_text|>": 4, "<|end_of_text|>": 5}
    words |= {"<|start_header_id|>": 6, "<|end_header_id|>": 7, "<|eot_id|>": 8}
    tokenizer = keras_hub.tokenizers.Llama3Tokenizer(vocabulary=words, merges=["a b"])
    small = keras_hub.models.Llama3Backbone(
        vocabulary_size=9, num_layers=2, num_query_heads=2, num_key_value_heads=1, hidden_dim=8,
        intermediate_dim=16,
    )  # fmt: skip
    folder = tmp_path / "preset"
    small.save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))
    settings = SETTINGS.model_copy(update={"preset": str(folder)})
    assert embed(["ab", "ba"], settings, tmp_path, tmp_path / "cache").shape == (2, 8)


@pytest.mark.parametrize("family", ["gpt2", "gemma"])
def test_states_of_any_decoder_are_those_below_its_last_norm(family):
    import keras_hub

    sizes = {"vocabulary_size": 20, "num_layers": 2, "hidden_dim": 8, "intermediate_dim": 16}
    decoder = {
        "gpt2": lambda: keras_hub.models.GPT2Backbone(num_heads=2, max_sequence_length=9, **sizes),
        "gemma": lambda: keras_hub.models.GemmaBackbone(
            num_query_heads=2, num_key_value_heads=1, head_dim=4, **sizes
        ),
    }[family]()
    tokens = np.array([[3, 3, 3, 5], [7, 3, 0, 0]], "int32")
    padding = tokens > 0
    model = backbone.LanguageModel(None, decoder, 2, None)
    states = backbone.hidden_states(model, tokens, padding, 2)
    expected = decoder({"token_ids": tokens, "padding_mask": padding.astype("int32")})
    found = decoder.layer_norm(states)
    np.testing.assert_allclose(found[padding], np.asarray(expected)[padding], atol=1e-5)


def test_damaged_missing_and_unknown_weights_are_refused(tiny_raw, tmp_path):
    source = tiny_raw / backbone.GGUF_PRESETS[PRESET]
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(source.read_bytes()[:9_000])
    with pytest.raises(WeightsError, match="broken.gguf: not a readable GGUF file"):
        read_gguf(broken)
    with pytest.raises(WeightsError, match="none.gguf: no such file"):
        read_gguf(tmp_path / "none.gguf")
    with pytest.raises(WeightsError, match="cannot load 'no-such-preset'"):
        backbone.load("no-such-preset", tmp_path, "float32")


def test_empty_text_and_missing_layer_are_refused(tiny_raw, tmp_path):
    with pytest.raises(ValueError, match="one of them is empty"):
        embed(["a", " "], SETTINGS, tiny_raw, tmp_path)
    with pytest.raises(ValueError, match=f"has {LAYERS} layers"):
        embed(["a"], SETTINGS.model_copy(update={"layer": LAYERS + 1}), tiny_raw, tmp_path)


def test_another_weights_file_of_the_same_name_is_read_anew(tiny_raw, tmp_path):
    path = tmp_path / "model.gguf"
    shutil.copyfile(tiny_raw / backbone.GGUF_PRESETS[PRESET], path)
    assert read_gguf(path, tensors=False).layers == LAYERS
    path.write_bytes(b"GGUF, but torn")
    with pytest.raises(WeightsError, match="not a readable GGUF file"):
        read_gguf(path, tensors=False)


def test_components_do_not_depend_on_the_number_of_cores():
    vectors = np.random.default_rng(0).normal(size=(1500, 576)).astype("float32")
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(reduce(vectors, np.arange(1500) < 1400, 64)[0])
    np.testing.assert_array_equal(*found)
