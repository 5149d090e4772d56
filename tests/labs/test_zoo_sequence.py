"""Transformers, recurrent networks and regressions of the zoo: published sizes and names, and what each has to be able
to do. Whole networks are made on the meta device, without memory; what is computed is computed with tiny ones."""

from functools import partial

import pytest
import torch
from torch import nn

from labs.zoo import swin
from labs.zoo.bert import BERT
from labs.zoo.gpt2 import GPT2, GPT2Step
from labs.zoo.llama import LLaMA, rotary_table, rotate
from labs.zoo.regression import linear_regression, logistic_regression
from labs.zoo.rnn import RecurrentLM
from labs.zoo.sequence import SEQUENCE
from labs.zoo.swin import SwinTransformer
from labs.zoo.vit import VisionTransformer

ENTRIES = {entry.name: entry for entry in SEQUENCE}
VOCABULARY = 50

bert = partial(BERT, layers=2, hidden=32, heads=4, vocabulary=VOCABULARY, positions=16)
gpt2 = partial(GPT2, layers=2, hidden=32, heads=4, vocabulary=VOCABULARY, positions=16)
llama = partial(
    LLaMA, layers=2, hidden=32, heads=4, key_value_heads=2, intermediate=48, vocabulary=VOCABULARY, positions=16
)
rnn = partial(RecurrentLM, vocabulary=VOCABULARY, embedding=8, hidden=12)


def ids(*shape):
    return torch.randint(0, VOCABULARY, shape, generator=torch.Generator().manual_seed(1))


IDS = ids(2, 9)
PAST = [torch.randn(2, 4, 6, 8, generator=torch.Generator().manual_seed(i)) for i in range(4)]
IMAGE = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
ROW = IMAGE.flatten(1)[:, :784]
MASK = torch.tensor([[1] * 9, [1] * 5 + [0] * 4])

# How to make a tiny network, what to call it with, and the shape of its (first) output.
TINY = {
    "bert": (bert, (IDS,), (2, 9, 32)),
    "bert with mask and types": (bert, (IDS, MASK, ids(2, 9) % 2), (2, 9, 32)),
    "gpt2": (gpt2, (IDS,), (2, 9, VOCABULARY)),
    "gpt2, one token on top": (lambda: GPT2Step(gpt2()), (IDS[:, :1], *PAST), (2, 1, VOCABULARY)),
    "gpt2, tokens on top": (lambda: GPT2Step(gpt2()), (IDS, *PAST), (2, 9, VOCABULARY)),
    "llama": (llama, (IDS,), (2, 9, 32)),
    "vit": (partial(VisionTransformer, 32, 8, layers=2, hidden=24, heads=3, classes=10), (IMAGE,), (2, 10)),
    "swin": (partial(SwinTransformer, 32, 2, 12, (2, 2), (3, 6), classes=10), (IMAGE,), (2, 10)),
    "lstm": (partial(rnn, nn.LSTM), (IDS,), (2, 9, VOCABULARY)),
    "gru": (partial(rnn, nn.GRU), (IDS,), (2, 9, VOCABULARY)),
    "lstm, both ways": (partial(rnn, nn.LSTM, bidirectional=True), (IDS,), (2, 9, VOCABULARY)),
    "gru, both ways": (partial(rnn, nn.GRU, bidirectional=True), (IDS,), (2, 9, VOCABULARY)),
    "linear regression": (linear_regression, (ROW,), (2, 1)),
    "logistic regression": (logistic_regression, (ROW,), (2, 10)),
    "logistic regression, two classes": (partial(logistic_regression, classes=2), (ROW,), (2, 1)),
}


def seeded(make):
    """A network in evaluation mode whose weights are the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().eval()


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


# --- the networks as published ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole():
    """A function from an entry's name to the network on the meta device."""
    made = {}

    def make(name):
        if name not in made:
            with torch.device("meta"):
                made[name] = ENTRIES[name].make()
        return made[name]

    return make


@pytest.mark.parametrize(("name", "count"), [
    ("bert_base", 109_482_240),
    ("gpt2", 124_439_808),
    ("gpt2_past", 124_439_808),
    ("vit_b_16", 86_567_656),
    ("swin_t", 28_288_354),
])  # fmt: skip
def test_parameter_counts_are_the_published_ones(whole, name, count):
    assert parameters(whole(name)) == count


@pytest.mark.parametrize(("name", "expected"), [
    ("bert_base", {
        "embeddings.word_embeddings.weight": (30522, 768),
        "embeddings.token_type_embeddings.weight": (2, 768),
        "embeddings.LayerNorm.weight": (768,),
        "encoder.layer.0.attention.self.query.weight": (768, 768),
        "encoder.layer.11.attention.output.LayerNorm.bias": (768,),
        "encoder.layer.11.intermediate.dense.weight": (3072, 768),
        "encoder.layer.11.output.dense.weight": (768, 3072),
        "pooler.dense.weight": (768, 768),
    }),
    ("gpt2", {
        "transformer.wte.weight": (50257, 768),
        "transformer.wpe.weight": (1024, 768),
        "transformer.h.0.attn.c_attn.weight": (768, 2304),
        "transformer.h.11.mlp.c_fc.weight": (768, 3072),
        "transformer.h.11.mlp.c_proj.weight": (3072, 768),
        "transformer.ln_f.bias": (768,),
        "lm_head.weight": (50257, 768),
    }),
    ("llama_small", {
        "embed_tokens.weight": (32000, 512),
        "layers.0.self_attn.q_proj.weight": (512, 512),
        "layers.3.self_attn.k_proj.weight": (256, 512),
        "layers.3.mlp.gate_proj.weight": (1376, 512),
        "layers.3.input_layernorm.weight": (512,),
        "layers.3.post_attention_layernorm.weight": (512,),
        "norm.weight": (512,),
    }),
    ("vit_b_16", {
        "class_token": (1, 1, 768),
        "conv_proj.weight": (768, 3, 16, 16),
        "encoder.pos_embedding": (1, 197, 768),
        "encoder.layers.encoder_layer_0.ln_1.weight": (768,),
        "encoder.layers.encoder_layer_0.self_attention.in_proj_weight": (2304, 768),
        "encoder.layers.encoder_layer_11.self_attention.out_proj.weight": (768, 768),
        "encoder.layers.encoder_layer_11.mlp.0.weight": (3072, 768),
        "encoder.layers.encoder_layer_11.mlp.3.weight": (768, 3072),
        "encoder.ln.weight": (768,),
        "heads.head.weight": (1000, 768),
    }),
    ("swin_t", {
        "features.0.0.weight": (96, 3, 4, 4),
        "features.0.2.weight": (96,),
        "features.1.0.attn.relative_position_bias_table": (169, 3),
        "features.1.1.attn.relative_position_index": (2401,),
        "features.2.reduction.weight": (192, 384),
        "features.5.5.mlp.3.weight": (384, 1536),
        "features.7.1.attn.qkv.weight": (2304, 768),
        "norm.weight": (768,),
        "head.weight": (1000, 768),
    }),
])  # fmt: skip
def test_parameters_have_the_usual_names(whole, name, expected):
    state = whole(name).state_dict()
    assert {key: tuple(state[key].shape) for key in expected if key in state} == expected


@pytest.mark.parametrize(("name", "shape"), [
    ("bert_base", (3, 128, 768)),
    ("gpt2", (3, 128, 50257)),
    ("gpt2_past", (3, 1, 50257)),
    ("llama_small", (3, 128, 512)),
    ("vit_b_16", (3, 1000)),
    ("swin_t", (3, 1000)),
    ("lstm", (3, 64, 10000)),
    ("lstm_bidirectional", (3, 64, 10000)),
    ("gru", (3, 64, 10000)),
    ("linear_regression", (3, 1)),
    ("logistic_regression", (3, 10)),
])  # fmt: skip
def test_entries_can_be_called(whole, name, shape):
    inputs = ENTRIES[name].inputs(3)
    assert all(torch.equal(a, b) for a, b in zip(inputs, ENTRIES[name].inputs(3), strict=True))
    output = whole(name)(*(tensor.to("meta") for tensor in inputs))
    assert (output[0] if isinstance(output, tuple) else output).shape == shape


def test_entries_are_in_evaluation_mode_and_each_has_a_name_of_its_own(whole):
    assert len(ENTRIES) == len(SEQUENCE) == len({entry.says for entry in SEQUENCE})
    assert not any(module.training for name in ENTRIES for module in whole(name).modules())


# --- tiny ones -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY)
def test_export_computes_the_same(name):
    make, inputs, shape = TINY[name]
    model = seeded(make)
    expected = model(*inputs)
    exported = torch.export.export(model, inputs, strict=False).run_decompositions({}).module()(*inputs)
    torch.testing.assert_close(exported, expected)
    first = expected[0] if isinstance(expected, tuple) else expected
    assert first.shape == shape
    assert 1e-3 < first.std() < 10, "activations neither vanish nor explode"


@pytest.mark.parametrize("make", [gpt2, llama, partial(rnn, nn.LSTM), partial(rnn, nn.GRU)])
def test_a_later_token_changes_nothing_before_it(make):
    model = seeded(make)
    changed = IDS.clone()
    changed[:, 5] = (changed[:, 5] + 1) % VOCABULARY
    before, after = model(IDS), model(changed)
    torch.testing.assert_close(after[:, :5], before[:, :5])
    assert ((after - before)[:, 5:].abs().amax(dim=(0, 2)) > 1e-5).all()


def test_the_other_direction_sees_later_tokens():
    model = seeded(partial(rnn, nn.GRU, bidirectional=True))
    changed = IDS.clone()
    changed[:, 5] = (changed[:, 5] + 1) % VOCABULARY
    assert ((model(changed) - model(IDS)).abs().amax(dim=(0, 2)) > 1e-5).all()


@pytest.mark.parametrize("make", [bert, gpt2, llama])
def test_order_matters(make):
    """Without positions, a single layer would say the same after "a b" as after "b a"."""
    model = seeded(partial(make, layers=1))
    a, b = (model(torch.tensor([tokens])) for tokens in ([3, 7, 5], [7, 3, 5]))
    if make is bert:
        a, b = a[0], b[0]
    assert (a - b)[:, 2].abs().max() > 1e-5


@pytest.mark.parametrize("make", [bert, gpt2])
def test_a_sequence_longer_than_the_positions_is_an_error(make):
    with pytest.raises(IndexError):
        seeded(make)(ids(1, 17))


@pytest.mark.parametrize("cuts", [[8], [4, 5], [1, 2, 3, 4, 5, 6, 7, 8]])
def test_gpt2_with_its_past_computes_the_same(cuts):
    model = seeded(gpt2)
    expected = model(IDS)
    first, *rest = IDS.tensor_split(cuts, dim=1)
    logits, past = model(first, use_cache=True)
    assert past[1][0].shape == past[1][1].shape == (2, 4, first.shape[1], 8)
    parts = [logits]
    for tokens in rest:
        logits, past = model(tokens, past)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), expected)


def test_gpt2_step_takes_and_gives_the_past_as_tensors():
    model = seeded(gpt2)
    expected, ((k0, v0), (k1, v1)) = model(IDS[:, :2], ((PAST[0], PAST[1]), (PAST[2], PAST[3])))
    torch.testing.assert_close(GPT2Step(model)(IDS[:, :2], *PAST), (expected, k0, v0, k1, v1))
    torch.testing.assert_close(v1[:, :, :6], PAST[3])


def test_gpt2_ties_its_head_to_its_embedding():
    model = seeded(gpt2)
    assert model.lm_head.weight is model.transformer["wte"].weight


def test_bert_does_not_see_masked_tokens():
    model = seeded(bert)
    changed = torch.where(MASK.bool(), IDS, (IDS + 1) % VOCABULARY)
    for before, after in zip(model(IDS, MASK), model(changed, MASK), strict=True):
        torch.testing.assert_close(after[0], before[0])
        torch.testing.assert_close(after[1, :5], before[1, :5])
    assert (model(changed)[0] - model(IDS)[0])[1, :5].abs().max() > 1e-4, "without the mask it does"
    torch.testing.assert_close(model(IDS[1:, :5])[0], model(IDS, MASK)[0][1:, :5])


def test_bert_tells_the_second_sentence_from_the_first():
    model = seeded(bert)
    torch.testing.assert_close(model(IDS, None, torch.zeros_like(IDS)), model(IDS))
    assert (model(IDS, None, torch.ones_like(IDS))[0] - model(IDS)[0]).abs().max() > 1e-4


def test_llama_keeps_its_tables_out_of_the_state():
    state = seeded(llama).state_dict()
    assert "cos" not in state
    assert "sin" not in state


def test_rotary_scores_depend_on_the_distance_alone():
    cos, sin = rotary_table(12, 8)
    q, k = torch.randn(2, 12, 8, generator=torch.Generator().manual_seed(4))[:, :1].expand(2, 12, 8)
    scores = rotate(q, cos, sin) @ rotate(k, cos, sin).T
    for distance in range(-11, 12):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert scores[0].std() > 0.1


def test_windows_are_put_together_again():
    x = torch.arange(2 * 6 * 6 * 4.0).view(2, 6, 6, 4)
    windows = swin.to_windows(x, 3)
    torch.testing.assert_close(windows[1, 2].view(3, 3, 4), x[1, 3:, :3])
    torch.testing.assert_close(swin.from_windows(windows, 3, 6), x)


def test_equal_distances_share_a_bias():
    index = swin.relative_position_index(3).view(9, 9)
    assert index.unique().tolist() == list(range(25))
    assert len(set(index.diagonal().tolist())) == 1
    assert index[0, 1] == index[4, 5] == index[7, 8] != index[1, 0]


@pytest.mark.parametrize(("shift", "seen"), [(0, (slice(0, 4), slice(0, 4))), (2, (slice(0, 2), slice(0, 2)))])
def test_shifted_windows_do_not_reach_around_the_edge(shift, seen):
    """The corner token is in a window with the tokens `seen`; rolled, that window holds the other three corners too."""
    attention = seeded(partial(swin.WindowAttention, 8, 12, 3, 4, shift))
    x = torch.randn(1, 8, 8, 12, generator=torch.Generator().manual_seed(3))
    changed = x.clone()
    changed[:, 0, 0] += 1
    differs = (attention(changed) - attention(x)).abs().amax(dim=(0, 3)) > 1e-6
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[seen] = True
    assert torch.equal(differs, expected)


def test_patches_are_merged_in_the_order_of_the_weights():
    """Down the left column, then down the right one: the order in which published weights expect the four tokens."""
    merge = swin.PatchMerging(1)
    merge.norm = nn.Identity()
    merge.reduction = nn.Identity()
    merged = merge(torch.arange(16.0).view(1, 4, 4, 1))
    assert merged[0, 0, 1].tolist() == [2, 6, 3, 7]


def test_swin_says_which_sizes_it_takes():
    with pytest.raises(ValueError, match="size is 200: 4 stages with windows of 7 need a multiple of 224"):
        SwinTransformer(size=200)


def test_probabilities_sum_to_one():
    torch.testing.assert_close(seeded(logistic_regression)(ROW).sum(dim=1), torch.ones(2))
    second = seeded(partial(logistic_regression, classes=2))(ROW)
    assert ((second > 0) & (second < 1)).all()
