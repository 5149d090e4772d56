"""Keras models of the TensorFlow backend, by way of ONNX: make test-tensorflow, in an environment of its own."""

import numpy as np
import pytest
import torch

import solkit as sol
from solkit.errors import InputError, ModelError

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("KERAS_BACKEND is not tensorflow")
    return keras


def arrays(result):
    """NumPy arrays of what either gives."""
    return [np.asarray(item) for item in (result if isinstance(result, (list, tuple)) else [result])]


def agree(model, *inputs):
    made = sol.optimize(model, *inputs)
    flat = inputs[0] if isinstance(inputs[0], list) else inputs
    given, expected = made(*flat), model(*inputs, training=False)
    for mine, theirs in zip(arrays(given), arrays(expected), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
    return made, given


def image(*size):
    return np.random.default_rng(0).random((2, *size), dtype=np.float32)


def test_convolutions(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3),
            layers.MaxPooling2D(),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.5),
            layers.Dense(4, activation="softmax"),
        ]
    )
    made, given = agree(model, image(16, 16, 3))
    assert isinstance(given, np.ndarray)
    assert made.explain().in_pytorch == []
    assert isinstance(made(torch.from_numpy(image(16, 16, 3))), torch.Tensor)


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_recurrent(keras, name):
    model = keras.Sequential([keras.Input((5, 8)), getattr(keras.layers, name)(6), keras.layers.Dense(2)])
    agree(model, image(5, 8))


def test_attention(keras):
    words = keras.Input((6, 8))
    mixed = keras.layers.MultiHeadAttention(2, 4)(words, words)
    agree(keras.Model(words, keras.layers.LayerNormalization()(mixed + words)), image(6, 8))


def test_embedding(keras):
    words = keras.Input((6,), dtype="int32")
    model = keras.Model(words, keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(20, 8)(words)))
    agree(model, np.arange(12, dtype=np.int32).reshape(2, 6))


def test_several_inputs_and_outputs(keras):
    a, b = keras.Input((4,), name="a"), keras.Input((6,), name="b")
    hidden = keras.layers.Concatenate()([keras.layers.Dense(3)(a), keras.layers.Dense(3)(b)])
    model = keras.Model([a, b], [keras.layers.Dense(2)(hidden), keras.layers.Activation("tanh")(hidden)])
    agree(model, [image(4), image(6)])


def test_any_batch(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    made = sol.optimize(model, image(4))
    for batch in (1, 7):
        x = np.ones((batch, 4), np.float32)
        np.testing.assert_allclose(made(x), np.asarray(model(x)), rtol=1e-5)


def test_an_application(keras):
    model = keras.applications.MobileNetV2(weights=None, input_shape=(64, 64, 3), classes=10)
    agree(model, image(64, 64, 3))


def test_what_cannot_be_done_is_said(keras):
    class Own(keras.Model):
        def call(self, x):
            raise NotImplementedError("not yet")

    with pytest.raises((InputError, ModelError), match="not yet"):
        sol.optimize(Own(), image(4))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(InputError, match="by position"):
        sol.optimize(model, kwargs={"x": image(4)})
