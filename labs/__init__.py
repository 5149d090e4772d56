"""The workshop: notebooks, and the small package behind them. In a notebook: `from labs import lab`."""

__version__ = "0.1.0"
