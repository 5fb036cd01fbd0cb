"""What importing costs, and what it must not pull in."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import genloom
from genloom import catalog

SOURCE = Path(genloom.__file__).parent
OPTIONAL = (
    *("sklearn", "matplotlib", "scipy", "pandas", "datasets", "pyarrow", "tensorboard"),
    *("fastapi", "uvicorn", "sqlalchemy", "alembic", "fsspec", "psycopg", "c2pa", "cryptography"),
    "optuna",
    "rdkit",
    "selfies",
    "diffusers",
    "transformers",
)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_genloom_alone_is_without_torch():
    assert run("import sys, genloom; print('torch' in sys.modules)") == "False"


def test_the_core_needs_no_optional_package():
    loaded = "import sys, genloom, genloom.core, genloom.recipe, genloom.artifact, genloom.trainer"
    found = run(f"{loaded}; print([m for m in {OPTIONAL!r} if m in sys.modules])")
    assert found == "[]"


def test_help_is_immediate():
    """Without torch, and in less than half a second of the processor's time."""
    code = "import sys, time; from genloom.cli import main; main([])"
    *page, last = run(f"{code}; print('torch' in sys.modules, time.process_time())").splitlines()
    assert "  genloom train --data digits --model flow --minutes 2" in page
    torch_loaded, seconds = last.split()
    assert torch_loaded == "False"
    assert float(seconds) < 0.5


def test_every_verb_is_at_hand():
    assert set(genloom.__all__) <= set(dir(genloom))
    for name in ("train", "sample", "stream", "evaluate", "compare", "load", "save"):
        assert callable(getattr(genloom, name)), name
    assert callable(genloom.data.check)
    with pytest.raises(AttributeError, match="smaple"):
        _ = genloom.smaple


@pytest.mark.parametrize("name", catalog.CATALOG)
def test_every_catalog_entry_loads(name):
    entry = catalog.CATALOG[name]
    assert callable(catalog.find(name, entry.kind))
    assert 0 < len(entry.about) < 80


def test_no_file_loads_code_from_data():
    """No pickle, torch.load, eval or exec, by any name, anywhere in the package."""
    modules = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "yaml"}
    found = []
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [a.name.partition(".")[0] for a in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "").partition(".")[0]]
            elif isinstance(node, ast.Call):
                call = ast.unparse(node.func)
                if call in {"eval", "exec", "torch.load", "__import__", "compile"}:
                    found.append(f"{path.name}:{node.lineno} {call}")
                for key in node.keywords:
                    is_false = isinstance(key.value, ast.Constant) and key.value.value is False
                    if key.arg == "allow_pickle" and not is_false:
                        found.append(f"{path.name}:{node.lineno} allow_pickle")
            found += [f"{path.name}:{node.lineno} {n}" for n in names if n in modules]
    assert found == []
