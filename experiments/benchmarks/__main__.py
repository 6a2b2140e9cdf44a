"""`python -m experiments.benchmarks`: measure, and write the report to figures/benchmarks."""

import argparse
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from experiments.benchmarks import compare, first_result, networks, peak, report, scaling
from odeopt.results.environment import environment

PARTS = {"compare": compare, "peak": peak, "scaling": scaling, "first_result": first_result,
         "networks": networks}
FIGURES = Path(__file__).resolve().parents[2]/"figures"


def main(arguments: list[str] | None = None, folder: Path = FIGURES) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small maps: a check, no measurement")
    parser.add_argument("--draw", action="store_true", help="write the report again, from an earlier run")
    chosen = parser.parse_args(arguments)
    folder = folder/"smoke"/"benchmarks" if chosen.quick else folder/"benchmarks"
    if chosen.draw:
        found = json.loads((folder/"measurements.json").read_text(encoding="utf-8"))
    else:
        found = {"date": datetime.now(UTC).date().isoformat(), "quick": chosen.quick, "machine": environment(),
                 "load": os.getloadavg()[0]}
        for name, part in PARTS.items():
            began = time.perf_counter()
            found[name] = part.measure(chosen.quick)
            print(f"{name:16}{time.perf_counter() - began:8.1f} s", flush=True)
    report.write(found, folder)
    print(report.targets(found).to_string(index=False))


if __name__ == "__main__":
    main()
