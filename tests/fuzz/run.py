"""Runs the fuzzer by hand: prints one JSON line per kind; exit code 1 with findings.

python tests/fuzz/run.py --count 2000 --seed 7 [--kind images] [--index 17]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "fuzz"), str(TESTS / "runtime"), str(TESTS.parent)]

from all_kinds import ALL  # noqa: E402
from fuzzing import describe, generator, judge, run  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=sorted(ALL), action="append")
    parser.add_argument("--count", type=int, default=1500, help="inputs of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--index", type=int, help="one input only, shown")
    parser.add_argument("--findings", type=int, default=5, help="stop a kind after so many")
    args = parser.parse_args()
    findings = 0
    for name in args.kind or sorted(ALL):
        kind = ALL[name]()
        if args.index is not None:
            value = kind.make(generator(args.seed, args.index))
            print(describe(value, 5000), judge(kind, value), sep="\n")
            continue
        report = run(kind, args.count, args.seed, args.findings)
        line = {
            "kind": name, "inputs": report.count, "outcomes": dict(report.outcomes.most_common()),
            "findings": len(report.findings), "slowest_s": round(report.slowest_s, 3),
            "memory_mib": round(report.memory_mib),
        }  # fmt: skip
        print(json.dumps(line), flush=True)
        for finding in report.findings:
            print(finding, file=sys.stderr)
        findings += len(report.findings)
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
