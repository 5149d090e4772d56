"""Seeing what became of a model: its clusters as a table and a drawing, their times, and the memory between them."""

from solkit.explain.explanation import Explanation
from solkit.explain.table import plural
from solkit.explain.timing import Profile, profile

__all__ = ["Explanation", "Profile", "plural", "profile"]
