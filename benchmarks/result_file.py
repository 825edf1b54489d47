"""A benchmark's results on disk, with the command, the machine and the versions that they came from."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def store(path: Path, result: Mapping[str, Any], command: str, packages: Sequence[str] = ("torch", "numpy")) -> None:
    """Write a result as JSON, whole or not at all."""
    machine = {
        "cpu": torch.cpu.get_capabilities().get("cpu_name"),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
    }
    content = {
        **result,
        "command": command,
        "machine": machine,
        "versions": {name: version(name) for name in packages},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(path)
