"""From clusters to C. The text is the same for every machine: vec.h gives it the vector length."""

from solkit.codegen.program import Program, generate

__all__ = ["Program", "generate"]
