"""Fourier transforms stay out of compiled graphs; values and gradients are those of eager code."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

COMPILED = """
import torch
from invae.models import compilation
from invae.models.geometry.polar import correlate

def doubled(pattern, field):
    return 2 * correlate(2 * pattern, field, n_turns=8)

def recorder(graph, inputs):
    called.extend(str(node.target) for node in graph.graph.nodes if node.op == "call_function")
    return graph.forward

called = []
random = torch.Generator().manual_seed(0)
inputs = [torch.randn(2, 1, 3, 8, generator=random, requires_grad=True) for _ in range(2)]
eager = torch.autograd.grad(doubled(*inputs).square().sum(), inputs)
compilation.compile_function(doubled)
compiled = torch.compile(doubled, backend=recorder)
gradients = torch.autograd.grad(compiled(*inputs).square().sum(), inputs)
assert all(torch.equal(a, b) for a, b in zip(eager, gradients, strict=True))
print(called)
"""


def test_a_compiled_function_calls_fourier_transforms_eagerly():
    """In its own process: elsewhere the compiler meets the check of shapes, which it cannot see through."""
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMPILED], capture_output=True, text=True, check=True
    )
    called = ast.literal_eval(process.stdout)
    assert sum("mul" in name for name in called) == 2, called
    assert not any("fft" in name for name in called), called


def test_only_one_module_calls_the_compiler():
    """Compiled any other way, Fourier transforms would get into the graph."""
    calls = {
        path.relative_to(ROOT).as_posix()
        for name in ("invae", "tasks", "flows")
        for path in (ROOT / name).rglob("*.py")
        if {"compile", "compiler"} & _of_torch(path)
    }
    assert calls == {"invae/models/compilation.py"}


def _of_torch(path: Path) -> set[str]:
    """Attributes of `torch` that a module names."""
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "torch"
    }
