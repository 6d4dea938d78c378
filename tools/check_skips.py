"""Fail when a test was skipped that the allow-list does not name.

usage: check_skips.py REPORT ALLOWED

REPORT is what the tests wrote to COOPER_SKIP_REPORT: "skipped: N", then a line "test id: reason"
per skip. A line of ALLOWED is a regular expression that must match such a line as a whole, "##",
and why this skip is right. Exit code 1 lists the skips that no line covers; 2 means that an input
cannot be used.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path


def read_allowed(text: str) -> list[re.Pattern[str]]:
    """Patterns of the allow-list; raises ValueError on a line without a reason."""
    patterns = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        expression, mark, reason = line.partition("##")
        if not mark or not reason.strip():
            raise ValueError(f"line {number} of the allow-list gives no reason after '##': {line}")
        patterns.append(re.compile(expression.strip()))
    return patterns


def not_allowed(report: str, patterns: list[re.Pattern[str]]) -> list[str]:
    """Skips that no pattern matches; raises ValueError on a report that is not complete."""
    head, *skips = report.splitlines() or [""]
    if head != f"skipped: {len(skips)}":
        raise ValueError("the skip report is not complete: did the tests run to their end?")
    return [skip for skip in skips if not any(p.fullmatch(skip) for p in patterns)]


def main(arguments: list[str]) -> int:
    """Compare the two files named on the command line."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        report, allowed = (Path(argument).read_text() for argument in arguments)
        offending = not_allowed(report, read_allowed(allowed))
    except (OSError, ValueError, re.error) as error:
        print(f"check_skips: {error}", file=sys.stderr)
        return 2
    if offending:
        print(f"skipped, but not listed in {arguments[1]}:", file=sys.stderr)
        print("\n".join(f"  {skip}" for skip in offending), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
