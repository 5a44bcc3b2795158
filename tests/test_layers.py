"""The layers of the package, as the README draws them, and the habits that every file keeps. Read from the source, nothing is run."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "studio"

LAYERS = (
    {"errors", "recipe", "recipe_codec", "recipe_film", "recipe_latent", "recipe_paths", "paths", "_version"},
    {"media", "audio", "midi", "osc", "models", "lab", "flashes"},
    {"checkpoints", "latents", "accel", "bending", "blending", "timeline", "hearing", "mapping", "live", "features"},
    {"directions", "inversion", "drag", "restyle", "training"},
    {
        "batch",
        "engine",
        "fallback",
        "fastest",
        "render",
        "restyler",
        "runners",
        "worker",
        "model_cache",
        "gallery",
        "bench",
        "bench_training",
        "anchors",
        "export",
        "film_render",
        "film_restyle",
        "upscaling",
        "jobs",
    },
    {"cli", "ui", "__main__"},
)
"""Imports only go up this list. A new file or folder of the package takes its place here."""

HOMES = {
    "gradio": {"ui"},
    "typer": {"cli"},
    "click": {"cli"},
    "rich": {"cli"},
    "librosa": {"audio"},
    "mido": {"midi"},
    "pythonosc": {"osc"},
    "opensimplex": {"timeline"},
    "av": {"media"},
    "imageio": {"media"},
    "cv2": {"restyle", "flashes"},
    "ray": {"film_render"},
    "PIL": {"media", "training"},
    "safetensors": {"checkpoints"},
    "numba": {"accel", "audio"},
    "llvmlite": {"accel"},
    "tensorboardX": {"training"},
}
"""Libraries that one part of the package knows."""

STRANGERS = {
    "media": {"torch", "torchvision", "studio.models", "studio.audio"},
    "audio": {"torch", "torchvision", "studio.models", "studio.media"},
    "models": {"studio.media", "studio.audio", "PIL"},
}
"""Parts of one layer that must not know each other, and what they must do without."""

LONG = {"checkpoints/pickles.py"}
"""Files that may be longer than 400 lines: one interpreter, one table of its instructions."""

GLOBAL_RANDOMNESS = {
    *("torch.manual_seed", "torch.seed", "torch.random.manual_seed", "torch.cuda.manual_seed", "torch.cuda.manual_seed_all"),
    *("np.random.seed", "numpy.random.seed", "random.seed", "np.random.set_state", "numpy.random.set_state"),
    *(
        f"{np}.random.{name}"
        for np in ("np", "numpy")
        for name in ("rand", "randn", "randint", "random", "normal", "uniform", "choice", "shuffle")
    ),
    *(f"random.{name}" for name in ("random", "randint", "choice", "choices", "shuffle", "sample", "uniform", "gauss", "randrange")),
}
DANGEROUS = {
    *("exec", "eval", "compile", "__import__", "os.system", "os.popen", "yaml.load"),
    *("torch.load", "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "dill.load", "joblib.load", "shelve.open"),
}


@cache
def modules():
    """Every module of the package as ``{path inside it: syntax tree}``."""
    return {path.relative_to(PACKAGE): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def part_of(path):
    """The first name below the package: ``media`` for ``media/files.py`` and for ``media.py``."""
    return path.parts[0].removesuffix(".py")


def level_of(part):
    return next((level for level, parts in enumerate(LAYERS) if part in parts), None)


def imports(path):
    """The full names that a module imports, wherever in it, with their lines."""
    for node in ast.walk(modules()[path]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(["studio", *path.parts[:-1]][: len(path.parts) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, (package, node.module)))
            yield from ((f"{source}.{alias.name}", node.lineno) for alias in node.names)


def calls(path):
    """The dotted names that a module calls, with their lines; ``random.x`` only where ``random`` is the module."""
    names = {name for name, _ in imports(path)}
    for node in ast.walk(modules()[path]):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.partition(".")[0] != "random" or "random" in names:
                yield name, node.lineno


def forked_lines(path):
    """The lines where torch's global generator is put back afterwards, which initialising a network needs."""
    for node in ast.walk(modules()[path]):
        if isinstance(node, ast.With) and any("fork_rng" in ast.unparse(item.context_expr) for item in node.items):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def test_every_part_of_the_package_has_its_place_in_the_layers():
    homeless = {part_of(path) for path in modules()} - set().union(*LAYERS) - {"__init__"}
    assert not homeless, f"add {sorted(homeless)} to LAYERS"


def test_imports_only_go_up_the_layers():
    wrong = []
    for path in modules():
        level = level_of(part_of(path))
        for name, line in imports(path):
            parts = name.split(".")
            other = level_of(parts[1]) if parts[0] == "studio" and len(parts) > 1 else None
            if level is not None and other is not None and other > level:
                wrong.append(f"studio/{path}:{line} (layer {level}) imports {name} (layer {other})")
    assert not wrong, "\n".join(wrong)


def test_each_library_is_known_in_its_home_only():
    wrong = [
        f"studio/{path}:{line} imports {name}"
        for path in modules()
        for name, line in imports(path)
        if part_of(path) not in HOMES.get(name.split(".")[0], {part_of(path)})
    ]
    assert not wrong, "\n".join(wrong)


def test_neighbours_in_a_layer_that_should_not_know_each_other_do_not():
    wrong = [
        f"studio/{path}:{line} imports {name}"
        for path in modules()
        for name, line in imports(path)
        for stranger in STRANGERS.get(part_of(path), ())
        if name == stranger or name.startswith(f"{stranger}.")
    ]
    assert not wrong, "\n".join(wrong)


def test_the_lowest_layer_needs_no_array_library():
    wrong = [
        f"studio/{path}:{line} imports {name}"
        for path in modules()
        if level_of(part_of(path)) == 0
        for name, line in imports(path)
        if name.split(".")[0] in ("torch", "numpy", "PIL")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("banned", "allowed"),
    [({"print"}, LAYERS[5]), (GLOBAL_RANDOMNESS, set()), (DANGEROUS, set())],
    ids=["print", "global randomness", "running what a file says"],
)
def test_no_module_calls_what_is_not_its_to_call(banned, allowed):
    wrong = [
        f"studio/{path}:{line} calls {name}"
        for path in modules()
        if part_of(path) not in allowed
        for name, line in calls(path)
        if name in banned and not (name == "torch.manual_seed" and line in forked_lines(path))
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_loads_pickles_through_numpy():
    wrong = [
        f"studio/{path}:{node.lineno}"
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "trust_remote_code") and getattr(node.value, "value", True)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_except_names_its_error_and_does_something():
    wrong = [
        f"studio/{path}:{node.lineno}"
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and (node.type is None or all(isinstance(step, ast.Pass) for step in node.body))
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_everything_of_another_or_changes_globals():
    wrong = [
        f"studio/{path}:{node.lineno} {type(node).__name__}"
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Global) or (isinstance(node, ast.ImportFrom) and node.names[0].name == "*")
    ]
    assert not wrong, "\n".join(wrong)


def _is_long(path):
    return path.as_posix() not in LONG and len((PACKAGE / path).read_text(encoding="utf-8").splitlines()) > 400


def test_every_module_says_what_it_is_and_stays_short_enough_to_read():
    wrong = [
        f"studio/{path}: {'no docstring' if not ast.get_docstring(tree) else 'longer than 400 lines'}"
        for path, tree in modules().items()
        if not ast.get_docstring(tree) or _is_long(path)
    ]
    assert not wrong, "\n".join(wrong)
