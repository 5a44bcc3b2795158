"""The child process of an import: ``python -m studio.checkpoints.importer SOURCE RESULT NAME``.

It parses the foreign file under memory, time and file-size limits, writes the studio's own format to RESULT and answers with
one JSON object a line on standard output. Torch is imported only once the file has been parsed and is worth it.
"""

from __future__ import annotations

import json
import sys
import typing
from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.checkpoints.bounds import check_config
from studio.checkpoints.card import ModelCard
from studio.checkpoints.contents import read_contents
from studio.checkpoints.formats import recognise
from studio.checkpoints.opening import named_errors, opened
from studio.checkpoints.weights import check_finite, check_memory
from studio.errors import StudioError

PARSE_BYTES = 1 << 30
BUILD_BYTES = 3 << 30
CPU_SECONDS = 100
CPU_SECONDS_PER_GB = 60


def main(arguments: list[str]) -> int:
    """Run the import; returns the exit status."""
    source, result, name = Path(arguments[0]), Path(arguments[1]), arguments[2]
    try:
        _limit_time_and_files(source.stat().st_size)
        _limit_memory(PARSE_BYTES + 3 * source.stat().st_size)
        _answer({"card": _convert(source, result, name)})
    except StudioError as error:
        _answer({"error": type(error).__name__, "sentence": str(error), "detail": error.detail[:2000]})
        return 1
    return 0


def _convert(source: Path, result: Path, name: str) -> dict[str, Any]:
    with named_errors(name), opened(source) as file:
        _answer({"share": 0.0, "what": "Reading"})
        draft = recognise(read_contents(file.data))
        check_config(draft.family, draft.config)
        check_memory(draft.weights, file.size)
        check_finite(draft.weights)
        _limit_memory(None)
        from studio.checkpoints import loader

        _limit_memory(_used_now() + BUILD_BYTES + 4 * file.size)
        _answer({"share": 0.3, "what": "Building the network"})
        network = loader.network_from(draft, file, name)
        _answer({"share": 0.7, "what": "Writing"})
        card = typing.cast(ModelCard, network.card)
        loader.save(network, result, card)
    return replace(card, sha256="", name="").to_json()


def _limit_memory(size: int | None) -> None:
    """Set how much address space this process may use (None: no limit); only where the system can."""
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = resource.RLIM_INFINITY if size is None else size
    if hard != resource.RLIM_INFINITY:
        wanted = hard if size is None else min(size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def _limit_time_and_files(size: int) -> None:
    try:
        import resource
    except ImportError:
        return
    seconds = CPU_SECONDS + CPU_SECONDS_PER_GB * (size >> 30)
    for kind, limit in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_FSIZE, 4 * size + (64 << 20)), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _used_now() -> int:
    import psutil

    return int(psutil.Process().memory_info().vms)


def _answer(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
