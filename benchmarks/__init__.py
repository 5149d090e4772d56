"""Side-by-side measurements. Each prints a table of ratios taken in one run: `python -m benchmarks.inference`."""
