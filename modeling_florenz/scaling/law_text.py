"""Put a report of laws into words: one line for each law."""

from typing import Any

from .law_rows import GROUPS


def summary(report: dict[str, Any]) -> str:
    """Return the laws of a report, group by group, whatever they are."""
    head = f"arm {report['arm']}: {len(report['cells'])} cells of {report['runs']} runs, {report['diverged']} diverged"
    parts = ["\n".join([group, *group_lines(report["groups"][group])]) for group in GROUPS]
    return "\n\n".join([head, *parts])


def group_lines(found: dict[str, Any]) -> list[str]:
    """Return a line for each law of a group, its offset, and each held-out check."""
    spread = found["seed_spread"]
    factor = "one seed a cell" if spread is None else f"seeds of a cell differ by a factor of {spread['factor']:.3f}"
    lines = [factor]
    for name, law in found["compute"].items():
        lines += _law(f"{name}, front of {len(law['front'])} cells", law)
    for name, law in found["size_samples"].items():
        lines += _law(f"samples and {name}", law)
    lines += _law("captioned share", found["captioned"])
    return lines + [_held_out(name, check) for name, check in found["held_out"].items()]


def slope(law: dict[str, Any], term: str) -> str:
    """Return a coefficient with its interval."""
    place = law["terms"].index(term)
    return f"{law['estimates'][place]:.3f} ({law['low'][place]:.3f} to {law['high'][place]:.3f})"


def offset_words(offset: dict[str, Any]) -> str:
    """Say what the offset is, or that the cells do not tell it."""
    if "refused" in offset:
        return f"not fitted: {offset['refused']}"
    low, high = offset["interval"]
    found = f"{offset['estimates'][-1]:.3g} ({low:.3g} to {high:.3g})" if offset["identified"] else "not identified"
    reach = "" if offset["identified"] else f", anything from 0 to {high:.3g}"
    return f"{found}{reach}; AICc {offset['aicc']:.1f} with it, {offset['aicc_without']:.1f} without"


def _law(title: str, found: dict[str, Any]) -> list[str]:
    if "refused" in found:
        return [f"  {title}: not fitted: {found['refused']}"]
    law = found["law"]
    slopes = ", ".join(f"{term} {slope(law, term)}" for term in law["terms"][1:])
    lines = [f"  {title}: slopes {slopes}; R² {law['r_squared']:.3f}"]
    return lines + ([f"    offset {offset_words(found['with_offset'])}"] if "with_offset" in found else [])


def _held_out(name: str, check: dict[str, Any]) -> str:
    if "refused" in check:
        return f"  {name}: not checked: {check['refused']}"
    errors = ", ".join(f"{title} {10**error:.2f}" for title, error in check["errors"].items())
    return f"  {name}: {check['in_band']} of {len(check['cells'])} cells in the band; wrong by a factor of: {errors}"
