"""The zoo's image networks, the multi-layer perceptron and the deck's three layers."""

from labs.zoo.alexnet import alexnet
from labs.zoo.convnext import convnext_tiny
from labs.zoo.deck import deck3
from labs.zoo.densenet import densenet121, densenet161, densenet169, densenet201
from labs.zoo.efficientnet import efficientnet_b0, efficientnet_b1
from labs.zoo.googlenet import googlenet
from labs.zoo.inception import inception_v3
from labs.zoo.mlp import mlp
from labs.zoo.mnasnet import mnasnet0_5, mnasnet0_75, mnasnet1_0, mnasnet1_3
from labs.zoo.mobilenet import mobilenet_v1, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from labs.zoo.registry import Entry, images
from labs.zoo.regnet import regnet_x_400mf, regnet_y_400mf
from labs.zoo.resnet import (
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    resnext101_32x8d,
    wide_resnet50_2,
    wide_resnet101_2,
)
from labs.zoo.shufflenet import shufflenet_v2_x0_5, shufflenet_v2_x1_0, shufflenet_v2_x1_5, shufflenet_v2_x2_0
from labs.zoo.squeezenet import squeezenet1_0, squeezenet1_1
from labs.zoo.unet import unet
from labs.zoo.vgg import vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn

PHOTO = images(3, 224, 224)

VISION: tuple[Entry, ...] = (
    Entry("alexnet", "AlexNet", "AlexNet", alexnet, PHOTO),
    Entry("squeezenet1_0", "SqueezeNet", "SqueezeNet 1.0", squeezenet1_0, PHOTO),
    Entry("squeezenet1_1", "SqueezeNet", "SqueezeNet 1.1", squeezenet1_1, PHOTO),
    Entry("deck3", "SqueezeNet", "SqueezeNet's classifier", deck3, images(512, 13, 13)),
    Entry("vgg11", "VGG", "VGG-11", vgg11, PHOTO),
    Entry("vgg13", "VGG", "VGG-13", vgg13, PHOTO),
    Entry("vgg16", "VGG", "VGG-16", vgg16, PHOTO),
    Entry("vgg19", "VGG", "VGG-19", vgg19, PHOTO),
    Entry("vgg11_bn", "VGG", "VGG-11 with batch norm", vgg11_bn, PHOTO),
    Entry("vgg13_bn", "VGG", "VGG-13 with batch norm", vgg13_bn, PHOTO),
    Entry("vgg16_bn", "VGG", "VGG-16 with batch norm", vgg16_bn, PHOTO),
    Entry("vgg19_bn", "VGG", "VGG-19 with batch norm", vgg19_bn, PHOTO),
    Entry("resnet18", "ResNet", "ResNet-18", resnet18, PHOTO),
    Entry("resnet34", "ResNet", "ResNet-34", resnet34, PHOTO),
    Entry("resnet50", "ResNet", "ResNet-50", resnet50, PHOTO),
    Entry("resnet101", "ResNet", "ResNet-101", resnet101, PHOTO),
    Entry("resnet152", "ResNet", "ResNet-152", resnet152, PHOTO),
    Entry("resnext50_32x4d", "ResNeXt", "ResNeXt-50 32x4d", resnext50_32x4d, PHOTO),
    Entry("resnext101_32x8d", "ResNeXt", "ResNeXt-101 32x8d", resnext101_32x8d, PHOTO),
    Entry("wide_resnet50_2", "Wide ResNet", "Wide ResNet-50-2", wide_resnet50_2, PHOTO),
    Entry("wide_resnet101_2", "Wide ResNet", "Wide ResNet-101-2", wide_resnet101_2, PHOTO),
    Entry("densenet121", "DenseNet", "DenseNet-121", densenet121, PHOTO),
    Entry("densenet161", "DenseNet", "DenseNet-161", densenet161, PHOTO),
    Entry("densenet169", "DenseNet", "DenseNet-169", densenet169, PHOTO),
    Entry("densenet201", "DenseNet", "DenseNet-201", densenet201, PHOTO),
    Entry("inception_v3", "Inception", "Inception v3", inception_v3, images(3, 299, 299)),
    Entry("googlenet", "GoogLeNet", "GoogLeNet", googlenet, PHOTO),
    Entry("mobilenet_v1", "MobileNet v1", "MobileNet v1", mobilenet_v1, PHOTO),
    Entry("mobilenet_v2", "MobileNet v2", "MobileNet v2", mobilenet_v2, PHOTO),
    Entry("mobilenet_v3_small", "MobileNet v3", "MobileNet v3 small", mobilenet_v3_small, PHOTO),
    Entry("mobilenet_v3_large", "MobileNet v3", "MobileNet v3 large", mobilenet_v3_large, PHOTO),
    Entry("mnasnet0_5", "MNASNet", "MNASNet 0.5", mnasnet0_5, PHOTO),
    Entry("mnasnet0_75", "MNASNet", "MNASNet 0.75", mnasnet0_75, PHOTO),
    Entry("mnasnet1_0", "MNASNet", "MNASNet 1.0", mnasnet1_0, PHOTO),
    Entry("mnasnet1_3", "MNASNet", "MNASNet 1.3", mnasnet1_3, PHOTO),
    Entry("shufflenet_v2_x0_5", "ShuffleNet v2", "ShuffleNet v2 0.5x", shufflenet_v2_x0_5, PHOTO),
    Entry("shufflenet_v2_x1_0", "ShuffleNet v2", "ShuffleNet v2 1.0x", shufflenet_v2_x1_0, PHOTO),
    Entry("shufflenet_v2_x1_5", "ShuffleNet v2", "ShuffleNet v2 1.5x", shufflenet_v2_x1_5, PHOTO),
    Entry("shufflenet_v2_x2_0", "ShuffleNet v2", "ShuffleNet v2 2.0x", shufflenet_v2_x2_0, PHOTO),
    Entry("efficientnet_b0", "EfficientNet", "EfficientNet-B0", efficientnet_b0, PHOTO),
    Entry("efficientnet_b1", "EfficientNet", "EfficientNet-B1", efficientnet_b1, images(3, 240, 240)),
    Entry("convnext_tiny", "ConvNeXt", "ConvNeXt-T", convnext_tiny, PHOTO),
    Entry("regnet_x_400mf", "RegNet", "RegNetX-400MF", regnet_x_400mf, PHOTO),
    Entry("regnet_y_400mf", "RegNet", "RegNetY-400MF", regnet_y_400mf, PHOTO),
    Entry("unet", "U-Net", "U-Net", unet, images(3, 256, 256)),
    Entry("mlp", "MLP", "MLP 8192x3", mlp, images(8192)),
)
