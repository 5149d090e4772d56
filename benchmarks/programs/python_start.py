"""What a program in Python takes before any runtime."""

import sys

import numpy  # noqa: F401

print("ready", flush=True)
sys.stdin.read()
