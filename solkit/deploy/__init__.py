"""Deployment: a trained network as a library that needs no framework."""

from solkit.deploy.deploy import deploy
from solkit.deploy.devices import deployment, device

__all__ = ["deploy", "deployment", "device"]
