"""Running compiled models: the library, the weights, the memory, the steps of a call."""
