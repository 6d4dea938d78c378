"""What a soak must have been like: from the raw record to figures and faults."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import Any

from cooper_ros.core.types import Status

MOST_DRIFT_PERCENT = 2.0
MOST_RECOVERY_S = 2.0


def judge(
    record: dict[str, Any],
    warm_up_min: float,
    minutes: float,
    most_recovery_s: float = MOST_RECOVERY_S,
) -> dict[str, Any]:
    """Figures of a record of `soak`, and under `faults` a sentence for each thing that is wrong.

    Memory is judged when the run is at least twice as long as its warm-up.
    """
    faults: list[str] = []
    result: dict[str, Any] = {"faults": faults, "load_average": record["load_average"]}
    result["answers"] = _answers(record, faults)
    result["recovery"] = _recovery(record, most_recovery_s, faults)
    result["memory"] = _memory(record["memory"], warm_up_min, minutes, faults)
    result["stream"] = _stream(record["minutes"], faults)
    result["disturbances"] = dict(Counter(event["kind"] for event in record["events"]))
    if record["node_exit"] != 0:
        faults.append(f"the node's exit code was {record['node_exit']}:\n{record['node_log']}")
    if "Traceback" in record["node_log"]:
        faults.append(f"the node's log has a traceback:\n{record['node_log']}")
    return result


def _answers(record: dict[str, Any], faults: list[str]) -> dict[str, Any]:
    asked = [line for lines in record["asked"].values() for line in lines]
    lost = [line["question"] for line in asked if line["replies"] == 0]
    doubled = [line["question"] for line in asked if line["replies"] > 1]
    foreign = [line for line in asked if line["replies"] and line["echo"] != line["question"]]
    sent = Counter(line["question"] for line in asked)
    published: dict[str, int] = record["published"]
    missing = [text for text, count in sent.items() if published.get(text, 0) < count]
    again = [text for text, count in published.items() if count > sent.get(text, 0)]
    for what, texts in (
        ("got no reply", lost),
        ("got several replies", doubled),
        ("got the reply of another question", [f"{x['question']} / {x['echo']}" for x in foreign]),
        ("were never published on ~/answer", missing),
        ("were published more often than asked", again),
    ):
        if texts:
            faults.append(f"{len(texts)} questions {what}, the first: {texts[0]!r}")
    statuses = Counter(
        Status(line["status"]).name for line in asked if line["status"] is not None
    )
    unexplained = [
        line["question"] for line in asked
        if line["status"] not in (None, int(Status.OK)) and not line["message"]
    ]  # fmt: skip
    if unexplained:
        faults.append(f"{len(unexplained)} refusals gave no reason: {unexplained[0]!r}")
    if statuses.get("ERROR"):
        texts = [x["message"] for x in asked if x["status"] == int(Status.ERROR)]
        faults.append(f"{len(texts)} questions ended with STATUS_ERROR, the first: {texts[0]}")
    if not asked:
        faults.append("nothing was asked")
    times = sorted(line["took_s"] for line in asked) or [float("nan")]
    return {
        "asked": len(asked),
        "by": dict(Counter(line.get("by", "service") for line in asked)),
        "lost": len(lost) + len(missing),
        "duplicated": len(doubled) + len(again),
        "statuses": dict(statuses.most_common()),
        "median_s": statistics.median(times),
        "p95_s": times[int(0.95 * (len(times) - 1))],
        "longest_s": times[-1],
    }


def _recovery(record: dict[str, Any], limit_s: float, faults: list[str]) -> dict[str, Any]:
    times = [item["seconds"] for item in record["recoveries"]]
    never = [item for item in record["recoveries"] if item["seconds"] is None]
    if never:
        faults.append(f"after {len(never)} disturbances no image was perceived: {never[0]}")
    known = [seconds for seconds in times if seconds is not None]
    if known and max(known) >= limit_s:
        slow = max((x for x in record["recoveries"] if x["seconds"]), key=lambda x: x["seconds"])
        faults.append(f"recovery took {slow['seconds']} s (limit {limit_s:g} s): {slow}")
    return {
        "count": len(times),
        "median_s": statistics.median(known) if known else None,
        "longest_s": max(known, default=None),
        "all": record["recoveries"],
    }


def _memory(
    samples: list[list[float]], warm_up_min: float, minutes: float, faults: list[str]
) -> dict[str, Any]:
    """Medians of a minute after the warm-up and of the last one, [MiB]; drift in percent."""
    if not samples:
        faults.append("no memory was measured")
        return {}
    end = samples[-1][0]
    window = min(60.0, end / 6)
    begin = min(60.0 * warm_up_min, end / 2)
    early = [s for s in samples if begin <= s[0] <= begin + window] or samples[:1]
    late = [s for s in samples if s[0] >= end - window]
    before, after = (statistics.median(s[1] for s in part) for part in (early, late))
    own_before, own_after = (statistics.median(s[2] for s in part) for part in (early, late))
    drift = 100.0 * (after - before) / before
    judged = minutes >= 2.0 * warm_up_min
    if judged and drift >= MOST_DRIFT_PERCENT:
        faults.append(f"memory grew by {drift:.2f} % after the warm-up: {before} to {after} MiB")
    return {
        "after_warm_up_mib": before,
        "end_mib": after,
        "drift_percent": round(drift, 3),
        "private_drift_percent": round(100.0 * (own_after - own_before) / own_before, 3),
        "judged": judged,
        "every_minute_mib": [s[1] for s in samples[:: max(1, len(samples) * 60 // int(end + 1))]],
    }


def _stream(rows: list[dict[str, float]], faults: list[str]) -> dict[str, Any]:
    """Rate and age by minute; whether they stay."""
    if not rows:
        faults.append("no image was perceived")
        return {}
    third = max(1, len(rows) // 3)
    first, last = rows[:third], rows[-third:]
    rates = [statistics.median(row["hz"] for row in part) for part in (first, last)]
    ages = [statistics.median(row["age_s"] for row in part) for part in (first, last)]
    return {"hz_first_third": rates[0], "hz_last_third": rates[1],
            "age_s_first_third": ages[0], "age_s_last_third": ages[1],
            "minutes": rows}  # fmt: skip
