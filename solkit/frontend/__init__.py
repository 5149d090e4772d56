"""From a framework's model to `ir.Graph`."""
