"""How long the papers' tables take with `posestream ablate TABLE --budget smoke`, and whether all their rows run.

    python -m benchmarks.tables --out DIR [--tables enhancenet-5a efafnet-x ...]

Each table has a folder of its own, so none finds another's trainings done. Results are stored after every table; tables
that were measured before and are not asked for keep their numbers.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

from rich.console import Console

from benchmarks.result_file import RESULTS, store
from tune.ablation import ClusterOptions, run_ablation
from tune.cluster import connected
from tune.table_options import AblationOptions
from tune.tables import find_table, list_tables

RESULT = RESULTS / "tables.json"


def measured(name: str, out: Path, console: Console) -> dict[str, object]:
    """Seconds, and how many rows ended how; Ray is running already."""
    started = time.perf_counter()
    outcome = run_ablation(
        find_table(name),
        str(out / name),
        AblationOptions(train=(), val="", budget="smoke"),
        console,
        ClusterOptions(cpus=1),
    )
    rows = Counter(row.status for row in outcome.rows)
    return {"seconds": round(time.perf_counter() - started), "rows": dict(rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tables", nargs="+", default=list_tables())
    args = parser.parse_args()
    console = Console()
    found = json.loads(RESULT.read_text())["tables"] if RESULT.exists() else {}
    with connected(None):
        for name in args.tables:
            found[name] = measured(name, args.out, console)
            console.print(f"{name}: {found[name]}", markup=False)
            store(RESULT, {"tables": found}, "python -m benchmarks.tables --out DIR", ("torch", "numpy", "ray"))


if __name__ == "__main__":
    main()
