"""The one thing pyproject.toml cannot say: the packages found by name, and kernels/ installed as `aurora_kernels`."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["solkit*", "frovedis_lite*", "labs*"]),
        *("aurora_kernels", "aurora_kernels.jupyter"),
    ],
    package_dir={"aurora_kernels": "kernels"},
)
