"""The first result of MobileNet v2 in ONNX Runtime: model, file of outputs, file of inputs."""

import sys

import numpy
import onnxruntime

model, output, given = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
x = numpy.fromfile(given, numpy.float32).reshape(1, 3, 224, 224)
session.run(None, {"x": x})[0].tofile(output)
print("ready", flush=True)
sys.stdin.read()
