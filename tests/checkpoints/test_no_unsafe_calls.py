"""Nothing in the package can run what a file says: the calls that could are not there."""

import ast
from pathlib import Path

import pytest

import studio

PACKAGE = Path(studio.__file__).parent
BANNED_CALLS = {"exec", "eval", "compile", "__import__", "execfile"}
BANNED_PATHS = {
    *("torch.load", "torch.jit.load", "torch.package.PackageImporter", "torch.hub.load", "yaml.load", "yaml.unsafe_load"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "joblib.load", "dill.load", "os.system", "os.popen"),
}
BANNED_IMPORTS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "code", "imp"}


def dotted(node):
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def offences(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {alias.name}" for alias in node.names if alias.name.split(".")[0] in BANNED_IMPORTS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in BANNED_IMPORTS:
            yield f"from {node.module} import"
        elif isinstance(node, (ast.Attribute, ast.Name)) and dotted(node) in BANNED_PATHS:
            yield dotted(node)
        elif isinstance(node, ast.Call):
            yield from call_offences(node)


def call_offences(node):
    name = dotted(node.func)
    if name in BANNED_CALLS:
        yield f"{name}("
    for keyword in node.keywords:
        value = getattr(keyword.value, "value", None)
        if keyword.arg in ("allow_pickle", "trust_remote_code", "shell") and value is not False:
            yield f"{name}({keyword.arg}=...)"
        if keyword.arg == "weights_only" and value is not True:
            yield f"{name}(weights_only=...)"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_file_has_no_call_that_could_run_data(path):
    assert list(offences(ast.parse(path.read_text("utf-8")))) == []


@pytest.mark.parametrize(
    "text",
    ["import pickle", "torch.load(f)", "eval('1')", "np.load(f, allow_pickle=True)", "from pickle import loads", "torch.jit.load"],
)
def test_the_search_finds_what_it_looks_for(text):
    assert list(offences(ast.parse(text)))
