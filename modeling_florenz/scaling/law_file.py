"""Read a report of laws that `florenz scaling fit` wrote."""

import json
from pathlib import Path
from typing import Any

from .laws import Law


def read_report(path: Path) -> dict[str, Any]:
    """Read a report.

    Raises:
        ValueError: there is no such file, or it is not a report of this schema.
    """
    from .law_report import SCHEMA

    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"there is no report of laws at {path}: write one with florenz scaling fit") from None
    except (ValueError, RecursionError):
        report = None
    if not isinstance(report, dict) or not isinstance(report.get("groups"), dict):
        raise ValueError(f"{path} is not a report of laws: write one with florenz scaling fit")
    if report.get("schema") != SCHEMA:
        raise ValueError(f"{path} has schema {report.get('schema')!r}, not {SCHEMA}: run florenz scaling fit again")
    return report


def stored_law(report: dict[str, Any], group: str, *path: str) -> Law:
    """Return a law of a report.

    Args:
        report: see `read_report`.
        group: of losses.
        path: where the law is, such as `size_samples`, `parameters`.

    Raises:
        ValueError: there is no such group, or its cells did not determine the law.
    """
    if group not in report["groups"]:
        raise ValueError(f"the report has no group {group!r}: use one of {', '.join(report['groups'])}")
    found = report["groups"][group]
    for key in path:
        found = found[key]
    if "refused" in found:
        raise ValueError(f"there is no law of {' '.join(path)} for {group}: {found['refused']}")
    values: dict[str, Any] = found["law"]
    return Law(**values)
