"""Recompute every mean in the paper's tables from the values beside it, and list what does not fit.

python -m modeling_florenz.publishing.check_paper hub_cards/results/paper_v1.json
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any


# Averages of rounded values may be off by this much once they are rounded again.
_TOLERANCE = 0.1 + 1e-9


def check_paper(report: dict[str, Any]) -> list[str]:
    """List the disagreements between the paper's overview (v1 Table 4) and its other tables, one sentence each."""
    tables = report["tables"]
    findings = []
    for overview in ("table_4_fine_tuned", "table_4_zero_shot"):
        columns = tables[overview]["columns"]
        for model, row in tables[overview]["rows"].items():
            printed = dict(zip(columns, row, strict=True))
            for column, value, origin in _recomputed(tables, model, columns):
                if printed[column] is not None and abs(printed[column] - value) > _TOLERANCE:
                    findings.append(f"{model}, {column}: Table 4 prints {printed[column]}, {origin} gives {value:.2f}")
    return findings


def _row(table: dict[str, Any], model: str) -> list[Any] | None:
    for name, values in table["rows"].items():
        if name.rpartition(": ")[2] == model:
            return values
    return None


def _recomputed(tables: dict[str, Any], model: str, columns: list[str]) -> Iterator[tuple[str, float, str]]:
    """Yield column, value and origin of what other tables say about a row of the overview."""

    def bleu(table: str) -> list[float] | None:
        row = _row(tables[table], model)
        return None if row is None or None in row else [pair[0] for pair in row]

    for column, table in (("M30K En→De B", "table_8_en_de"), ("M30K En→Fr B", "table_8_en_fr")):
        row = _row(tables[table], model)
        if row:
            scores = [pair[0] for pair in (row[0], row[1], row[3]) if pair]
            if len(scores) == 3:
                yield column, mean(scores), f"the mean of 2016, 2017 and COCO in {table}"
    if values := bleu("table_9"):
        yield "CoMMuTE En→De B", values[0], "Table 9"
        yield "CoMMuTE En→X B", mean(values), "the mean of Table 9"
    if (row := _row(tables["table_10"], model)) and None not in row:
        yield "Ambig. De acc", row[0], "Table 10"
        yield "Ambig. X acc", mean(row), "the mean of Table 10"
    row = _row(tables["table_11"], model)
    if row:
        if "COCO En C" in columns and row[1] is not None:
            yield "COCO En C", row[1], "Table 11"
        if "COCO En CS" in columns and row[2] is not None:
            yield "COCO En CS", row[2], "Table 11"
    if "M30K En C" in columns and (row := _row(tables["table_12"], model)):
        yield "M30K En C", row[1], "Table 12"
        yield "M30K De C", row[4], "Table 12"
    if "XM En C" in columns and (row := _row(tables["table_13"], model)):
        yield "XM En C", row[0], "Table 13"
        yield "XM De C", row[1], "Table 13"
        yield "XM Unseen C", mean(row[2:]), "the mean of fr, es, ru, zh in Table 13"


if __name__ == "__main__":
    for finding in check_paper(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))):
        print(finding)
