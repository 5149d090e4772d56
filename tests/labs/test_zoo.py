"""Image networks of the zoo: published sizes and names, and outputs that show what each layer does. Sizes, names and
shapes are taken on the meta device, without memory; only small images and the cheaper networks are computed."""

import inspect
from functools import cache

import pytest
import torch

from labs.zoo import NETWORKS, SEQUENCE, VISION
from labs.zoo.mobilenet import divisible
from labs.zoo.resnet import BasicBlock, Bottleneck, shrink_branches
from labs.zoo.shufflenet import channel_shuffle

# As torchvision documents them (without auxiliary heads); MobileNet v1's as Keras does (the trainable ones).
PARAMETERS = {
    "alexnet": 61_100_840,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_1": 1_235_496,
    "deck3": 512 * 1000 + 1000,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnext50_32x4d": 25_028_904,
    "resnext101_32x8d": 88_791_336,
    "wide_resnet50_2": 68_883_240,
    "wide_resnet101_2": 126_886_696,
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    "inception_v3": 23_834_568,
    "googlenet": 6_624_904,
    "mobilenet_v1": 4_231_976,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v3_small": 2_542_856,
    "mobilenet_v3_large": 5_483_032,
    "mnasnet0_5": 2_218_512,
    "mnasnet0_75": 3_170_208,
    "mnasnet1_0": 4_383_312,
    "mnasnet1_3": 6_282_256,
    "shufflenet_v2_x0_5": 1_366_792,
    "shufflenet_v2_x1_0": 2_278_604,
    "shufflenet_v2_x1_5": 3_503_624,
    "shufflenet_v2_x2_0": 7_393_996,
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "convnext_tiny": 28_589_128,
    "regnet_x_400mf": 5_495_976,
    "regnet_y_400mf": 4_344_144,
    "unet": 31_037_698,
    "mlp": 3 * (8192 * 8192 + 8192),
}

# Names that a family's state_dict has in torchvision, and the shapes under them.
NAMES = [
    ("alexnet", "features.10.weight", (256, 256, 3, 3)),
    ("alexnet", "classifier.6.weight", (1000, 4096)),
    ("squeezenet1_0", "features.12.expand3x3.weight", (256, 64, 3, 3)),
    ("squeezenet1_1", "classifier.1.bias", (1000,)),
    ("vgg11", "features.18.weight", (512, 512, 3, 3)),
    ("vgg19_bn", "features.50.running_var", (512,)),
    ("resnet18", "layer2.0.downsample.0.weight", (128, 64, 1, 1)),
    ("resnet152", "layer3.35.conv3.weight", (1024, 256, 1, 1)),
    ("resnext50_32x4d", "layer1.0.conv2.weight", (128, 4, 3, 3)),
    ("wide_resnet50_2", "layer4.2.conv2.weight", (1024, 1024, 3, 3)),
    ("densenet121", "features.denseblock1.denselayer1.norm1.weight", (64,)),
    ("densenet161", "features.transition3.conv.weight", (1056, 2112, 1, 1)),
    ("inception_v3", "Mixed_6c.branch7x7dbl_5.conv.weight", (192, 160, 1, 7)),
    ("inception_v3", "Mixed_7c.branch3x3dbl_3b.bn.weight", (384,)),
    ("googlenet", "inception4e.branch3.1.conv.weight", (128, 32, 3, 3)),
    ("mobilenet_v1", "features.25.0.weight", (1024, 1, 3, 3)),
    ("mobilenet_v2", "features.1.conv.0.0.weight", (32, 1, 3, 3)),
    ("mobilenet_v2", "features.17.conv.3.running_mean", (320,)),
    ("mobilenet_v3_small", "features.1.block.1.fc1.weight", (8, 16, 1, 1)),
    ("mobilenet_v3_large", "features.15.block.2.fc2.bias", (960,)),
    ("mnasnet1_0", "layers.8.0.layers.0.weight", (48, 16, 1, 1)),
    ("shufflenet_v2_x1_0", "stage2.0.branch2.0.weight", (58, 24, 1, 1)),
    ("shufflenet_v2_x1_0", "stage4.0.branch1.2.weight", (232, 232, 1, 1)),
    ("efficientnet_b0", "features.1.0.block.1.fc1.weight", (8, 32, 1, 1)),
    ("efficientnet_b1", "features.6.4.block.0.0.weight", (1152, 192, 1, 1)),
    ("convnext_tiny", "features.1.0.layer_scale", (96, 1, 1)),
    ("convnext_tiny", "features.5.8.block.3.weight", (1536, 384)),
    ("regnet_x_400mf", "trunk_output.block4.block4-11.f.b.0.weight", (400, 16, 3, 3)),
    ("regnet_y_400mf", "trunk_output.block1.block1-0.f.se.fc1.weight", (8, 48, 1, 1)),
    ("unet", "up.0.up.weight", (1024, 512, 2, 2)),
]

# One network of each family that has classes.
FIRST = {entry.family: entry.name for entry in reversed(VISION) if entry.name not in ("deck3", "mlp")}.values()

SHAPES = {"deck3": (2, 1000, 1, 1), "unet": (2, 2, 256, 256), "mlp": (2, 8192)}

# The deepest of each family that a test can afford.
COMPUTED = [
    "squeezenet1_0",
    "squeezenet1_1",
    "resnet18",
    "resnet152",
    "resnext50_32x4d",
    "densenet201",
    "inception_v3",
    "googlenet",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "mnasnet1_3",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x2_0",
    "efficientnet_b1",
    "convnext_tiny",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "unet",
]


@cache
def meta(name):
    with torch.device("meta"):
        return NETWORKS[name].make()


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_each_network_has_one_name():
    assert len(NETWORKS) == len(VISION) + len(SEQUENCE)
    assert {entry.name for entry in VISION} == set(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_number_of_parameters(name):
    assert sum(parameter.numel() for parameter in meta(name).parameters()) == PARAMETERS[name]


@pytest.mark.parametrize(("name", "parameter", "shape"), NAMES)
def test_names_are_torchvisions(name, parameter, shape):
    assert meta(name).state_dict()[parameter].shape == shape


@pytest.mark.parametrize("name", PARAMETERS)
def test_output_shape(name):
    network = meta(name)
    assert not any(module.training for module in network.modules())
    with torch.no_grad():
        y = network(*(x.to("meta") for x in NETWORKS[name].inputs(2)))
    assert y.shape == SHAPES.get(name, (2, 1000))
    assert y.dtype == torch.float32


@pytest.mark.parametrize("name", FIRST)
def test_number_of_classes(name):
    assert inspect.signature(NETWORKS[name].make).parameters["classes"].default == (2 if name == "unet" else 1000)
    with torch.device("meta"), torch.no_grad():
        network, x = NETWORKS[name].make(classes=7), torch.empty(1, 3, 96, 96)
        assert network(x).shape[:2] == (1, 7)


@pytest.mark.parametrize("name", COMPUTED)
def test_activations_neither_vanish_nor_explode(name):
    """A vanished image shows as outputs that no longer depend on it: what is left are the last layer's biases."""
    images = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        y = NETWORKS[name].make()(images)
    assert torch.isfinite(y).all()
    assert 0.1 < y.std() < 1e4
    assert (y[0] - y[1]).std() > 0.003 * y.std()


@pytest.mark.parametrize("name", ["squeezenet1_1", "shufflenet_v2_x0_5", "mobilenet_v3_small"])
def test_a_seed_gives_the_same_weights(name):
    def made(seed):
        torch.manual_seed(seed)
        return NETWORKS[name].make().state_dict()

    one, same, other = made(1), made(1), made(2)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0"])
def test_batch_norms_are_as_pytorch_makes_them(name):
    for module in NETWORKS[name].make().modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()
            assert (module.running_mean == 0).all()
            assert (module.running_var == 1).all()


def test_channel_shuffle_interleaves_the_halves():
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert channel_shuffle(x, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize(("channels", "rounded"), [(3, 8), (16, 16), (20.8, 24), (18, 24), (124.8, 128), (60, 64)])
def test_divisible(channels, rounded):
    assert divisible(channels) == rounded


@pytest.mark.parametrize("block", [BasicBlock(8, 16, stride=2), Bottleneck(8, 16, stride=2)])
def test_a_block_whose_branch_is_nothing_is_its_shortcut(block):
    block.eval()
    last = "conv2.weight" if isinstance(block, BasicBlock) else "conv3.weight"
    with torch.no_grad():
        block.get_parameter(last).zero_()
        x = torch.randn(1, 8, 6, 6)
        assert torch.equal(block(x), torch.relu(block.downsample(x)))


def test_shrink_branches_divides_by_the_root_of_their_number():
    blocks = torch.nn.Sequential(*[BasicBlock(4, 4) for _ in range(4)])
    before = {name: weight.clone() for name, weight in blocks.named_parameters()}
    shrink_branches(blocks, last="conv2.weight")
    for name, weight in blocks.named_parameters():
        torch.testing.assert_close(weight.detach(), before[name] / (2 if name.endswith("conv2.weight") else 1))
