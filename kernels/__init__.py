"""C kernels (compute/) and Jupyter kernelspecs (jupyter/), installed as the package `aurora_kernels`."""
