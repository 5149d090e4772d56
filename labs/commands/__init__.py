"""Commands of `aurora`: those for learners, and those for who teaches."""
