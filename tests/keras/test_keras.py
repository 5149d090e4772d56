"""Keras models of the torch backend: called as Keras' own, the same results, next to nothing left in PyTorch."""

import numpy as np
import pytest
import torch
from torch.utils import _pytree as pytree

import solkit as sol
from solkit.errors import InputError, ModelError
from solkit.frontend.fingerprint import fingerprint
from solkit.frontend.keras import KerasModule, KerasSolModule

keras = pytest.importorskip("keras")
if keras.backend.backend() != "torch":
    pytest.skip("Keras computes with another backend here", allow_module_level=True)
L = keras.layers


def agree(model, *inputs, left=()):
    """The optimized model, which gives what Keras gives; `left` stays in PyTorch."""
    with torch.no_grad():
        # Statistics and scales other than 1 and 0, so that leaving them out shows.
        for variable in model.variables:
            if variable.path.endswith(("moving_variance", "moving_mean", "beta", "gamma", "bias")):
                variable.assign(torch.rand(tuple(variable.shape)) + 0.5)
        expected = model(*inputs, training=False)
        made = sol.optimize(model, *inputs)
        given = made(*inputs)
    assert isinstance(made, KerasSolModule)
    assert {overload for overload, _ in made.explain().in_pytorch} <= set(left)
    assert pytree.tree_structure(given) == pytree.tree_structure(expected)
    for mine, theirs in zip(pytree.tree_leaves(given), pytree.tree_leaves(expected), strict=True):
        assert isinstance(mine, torch.Tensor)
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    return made


def sequential(shape, *layers, **more):
    return keras.Sequential([keras.Input(shape, **more), *layers])


IMAGE, WORDS = (12, 12, 3), (7, 8)
LAYERS = {
    "dense": (WORDS, L.Dense, (5,), {"activation": "gelu"}),
    "conv": (IMAGE, L.Conv2D, (8, 3), {"padding": "same", "activation": "relu"}),
    "conv-strided": (IMAGE, L.Conv2D, (8, 3), {"strides": 2, "padding": "same"}),
    "conv-dilated": (IMAGE, L.Conv2D, (8, 3), {"dilation_rate": 2}),
    "conv-transposed": (IMAGE, L.Conv2DTranspose, (4, 3), {"strides": 2, "padding": "same"}),
    "conv-1d": (WORDS, L.Conv1D, (6, 3), {"padding": "causal"}),
    "depthwise": (IMAGE, L.DepthwiseConv2D, (3,), {"depth_multiplier": 2}),
    "separable": (IMAGE, L.SeparableConv2D, (6, 3), {}),
    "batch-norm": (IMAGE, L.BatchNormalization, (), {}),
    "layer-norm": (WORDS, L.LayerNormalization, (), {}),
    "group-norm": ((4, 4, 8), L.GroupNormalization, (4,), {}),
    "max-pool": (IMAGE, L.MaxPooling2D, (3,), {"strides": 2, "padding": "same"}),
    "average-pool": (IMAGE, L.AveragePooling2D, (2,), {}),
    "global-pool": (IMAGE, L.GlobalAveragePooling2D, (), {}),
    "upsampling": (IMAGE, L.UpSampling2D, (2,), {"interpolation": "bilinear"}),
    "zero-padding": (IMAGE, L.ZeroPadding2D, (2,), {}),
    "lstm": (WORDS, L.LSTM, (6,), {"return_sequences": True}),
    "gru": (WORDS, L.GRU, (6,), {}),
    "simple-rnn": (WORDS, L.SimpleRNN, (6,), {"go_backwards": True}),
    "prelu": (WORDS, L.PReLU, (), {}),
    "flatten": (IMAGE, L.Flatten, (), {}),
    "permute": (WORDS, L.Permute, ((2, 1),), {}),
}


@pytest.mark.parametrize(("shape", "layer", "args", "options"), LAYERS.values(), ids=LAYERS)
def test_layers(shape, layer, args, options):
    agree(sequential(shape, layer(*args, **options)), torch.randn(2, *shape))


def test_a_convolutional_network():
    model = sequential(
        (24, 24, 3),
        L.Rescaling(1 / 127.5, offset=-1),
        L.Conv2D(8, 3, strides=2, use_bias=False),
        L.BatchNormalization(),
        L.ReLU(max_value=6),
        L.DepthwiseConv2D(3, padding="same"),
        L.BatchNormalization(),
        L.Activation("swish"),
        L.GlobalAveragePooling2D(),
        L.Dropout(0.5),
        L.Dense(5, activation="softmax"),
    )
    agree(model, torch.rand(2, 24, 24, 3) * 255)


def test_attention():
    words = keras.Input(WORDS)
    mixed = L.MultiHeadAttention(2, 4)(words, words, use_causal_mask=True)
    agree(keras.Model(words, L.LayerNormalization()(L.Add()([words, mixed]))), torch.randn(2, *WORDS))


def test_masks():
    """Those after the end of a sentence, 0, change nothing."""
    words = keras.Input((6,), dtype="int32")
    hidden = L.Embedding(20, 8, mask_zero=True)(words)
    hidden = L.Bidirectional(L.LSTM(5, return_sequences=True))(hidden)
    model = keras.Model(words, L.GlobalAveragePooling1D()(hidden))
    given = torch.tensor([[3, 4, 5, 0, 0, 0], [1, 2, 3, 4, 5, 6]], dtype=torch.int32)
    agree(model, given, left={"aten.ne.Scalar", "aten.ne.Tensor", "aten.any.dim"})


def test_several_inputs_and_outputs():
    a, b = keras.Input((4,), name="a"), keras.Input((6,), name="b")
    hidden = L.Concatenate()([L.Dense(3)(a), L.Dense(3)(b)])
    first, second = L.Dense(2)(hidden), L.Activation("tanh")(hidden)
    given = torch.randn(2, 4), torch.randn(2, 6)
    agree(keras.Model([a, b], [first, second]), list(given))
    agree(keras.Model({"a": a, "b": b}, {"p": first, "q": second}), {"a": given[0], "b": given[1]})


class Own(keras.Model):
    """A model of one's own, whose weights are made when it is first called."""

    def __init__(self):
        super().__init__()
        self.dense, self.dropout = L.Dense(4), L.Dropout(0.5)

    def call(self, x, training=False):
        return self.dropout(self.dense(x), training=training)


def test_subclasses():
    x = torch.randn(2, 3)
    model = Own()
    made = sol.optimize(model, x)
    assert model.built
    with torch.no_grad():
        torch.testing.assert_close(made(x), model(x))
    agree(Own(), x)


def test_one_layer():
    layer = L.Dense(3)
    layer.build((None, 5))
    agree(layer, torch.randn(2, 5))


# -- calls ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def model():
    return sequential((4,), L.Dense(8, activation="relu"), L.Dropout(0.5), L.Dense(3))


def test_arrays(model):
    """As Keras takes them, with float64 made float32; what comes back is what Keras gives: tensors."""
    x = np.random.default_rng(0).normal(size=(2, 4))
    made = sol.optimize(model, x)
    with torch.no_grad():
        given, expected = made(x), model(x)
        torch.testing.assert_close(given, expected)
        torch.testing.assert_close(made(x.astype(np.float32)[::-1]), expected.flip(0))
        torch.testing.assert_close(made(torch.from_numpy(x)), expected)
    with pytest.raises(InputError, match="an array of <U1"):
        made(np.array([["a"] * 4]))


def test_declared_inputs(model):
    """Without an example: of any batch."""
    made = sol.optimize(model)
    with torch.no_grad():
        for batch in (1, 5):
            x = torch.randn(batch, 4)
            torch.testing.assert_close(made(x), model(x))
    with pytest.raises(InputError, match="does not declare its inputs: pass example inputs"):
        sol.optimize(Own())


def test_described_inputs():
    made = sol.optimize(Own(), sol.input([0, 3]))
    with torch.no_grad():
        torch.testing.assert_close(made(torch.ones(4, 3)), made.keras_model(torch.ones(4, 3)))


def test_training(model):
    """An argument of the call in Keras; Dropout tells."""
    x = torch.ones(64, 4)
    made = sol.optimize(model, x, kwargs={"training": False})
    with torch.no_grad():
        torch.testing.assert_close(made(x, training=False), model(x, training=False))
        assert not torch.equal(made(x, training=True), made(x))


def test_weights_are_shared(model):
    x = torch.randn(2, 4)
    made = sol.optimize(model, x)
    with torch.no_grad():
        model.set_weights([np.full(w.shape, 0.25, np.float32) for w in model.get_weights()])
        torch.testing.assert_close(made(x), model(x))
        made.get_parameter("sequential/dense_1/bias").fill_(7)
        torch.testing.assert_close(made(x), model(x))
        assert (model.get_weights()[-1] == 7).all()


def test_gradients(model):
    x = torch.randn(2, 4)
    sol.optimize(model, x)(x).sum().backward()
    mine = [variable.value.grad.clone() for variable in model.trainable_variables]
    model.zero_grad()
    model(x).sum().backward()
    for gradient, variable in zip(mine, model.trainable_variables, strict=True):
        torch.testing.assert_close(gradient, variable.value.grad)


def test_fit_afterwards(model):
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    made = sol.optimize(model, x)
    model.compile("sgd", "mse")
    model.fit(x, np.ones((8, 3)), verbose=0)
    with torch.no_grad():
        torch.testing.assert_close(made(x), model(x))


def test_state_is_refused():
    model = keras.Sequential([keras.Input(batch_shape=(2, 5, 3)), L.LSTM(4, stateful=True)])
    with pytest.raises(ModelError, match=r"the layer 'lstm' .*keeps its state.*stateful=False"):
        sol.optimize(model, torch.randn(2, 5, 3))


def test_optimized_once_more(model):
    x = torch.randn(2, 4)
    again = sol.optimize(sol.optimize(model, x), x)
    assert again.keras_model is model


def test_wrong_inputs(model):
    made = sol.optimize(model, torch.randn(2, 4))
    with pytest.raises(InputError):
        made(torch.randn(2, 5))
    with pytest.raises(InputError, match="Keras cannot call"):
        sol.optimize(Own(), "text")


def test_recognised_in_the_cache():
    """By what Keras says of itself; a model with code of the user's own is not."""

    def key(*layers):
        keras.utils.clear_session()
        return fingerprint(KerasModule(sequential((4,), *(make() for make in layers))), (torch.ones(2, 4),), {})

    dense, relu, tanh = (lambda: L.Dense(4)), (lambda: L.Activation("relu")), (lambda: L.Activation("tanh"))
    assert key(dense, relu) == key(dense, relu)
    assert len({key(dense, relu), key(dense, tanh), key(relu, dense)}) == 3
    assert key(lambda: L.Lambda(lambda x: x + 1)) is None
    own = Own()
    own(torch.ones(2, 4))
    assert fingerprint(KerasModule(own), (torch.ones(2, 4),), {}) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetB0", "ResNet50", "DenseNet121", "ConvNeXtTiny"])
def test_applications(name):
    model = getattr(keras.applications, name)(weights=None, input_shape=(96, 96, 3), classes=10)
    agree(model, torch.rand(2, 96, 96, 3) * 255)
