"""All benches, or those named, one after the other: `python -m bench [name …]`; 1 when any target is missed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def benches() -> list[str]:
    """The modules of this folder that have a `main` of their own."""
    return sorted(
        path.stem
        for path in FOLDER.glob("*.py")
        if not path.stem.startswith("__") and "main" in functions(ast.parse(path.read_text()))
    )


def functions(module: ast.Module) -> set[str]:
    return {node.name for node in module.body if isinstance(node, ast.FunctionDef)}


def main(wanted: list[str]) -> int:
    unknown = set(wanted) - set(benches())
    if unknown:
        print(f"there is no bench {', '.join(sorted(unknown))}; there are {', '.join(benches())}")
        return 2
    missed = []
    for name in wanted or benches():
        print(f"== {name}", flush=True)
        # A process each: one's memory and CPU are no other's.
        if subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode:
            missed.append(name)
    print(f"missed: {', '.join(missed)}" if missed else "every target met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
