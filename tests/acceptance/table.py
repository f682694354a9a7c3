"""The matrix as text: one table for each fault, a row for each client; Markdown, so that it can be kept."""

from collections.abc import Sequence

from tests.acceptance.matrix import MODES, Cell


def table_of(cells: Sequence[Cell]) -> str:
    """Return the tables, in the order of the cells' faults."""
    faults = dict.fromkeys(cell.fault.name for cell in cells)
    return "\n".join(_table_of_fault([cell for cell in cells if cell.fault.name == name]) for name in faults)


def _table_of_fault(cells: Sequence[Cell]) -> str:
    fault = cells[0].fault
    head = f"### {fault.name}\n\n{fault.about[0].upper()}{fault.about[1:]}.\n\n"
    head += "| client | streamed | whole |\n| --- | --- | --- |\n"
    by_place = {(cell.client.name, cell.mode): cell for cell in cells}
    rows = []
    for name in dict.fromkeys(cell.client.name for cell in cells):
        shown = [_shown(by_place[name, mode]) if (name, mode) in by_place else "" for mode in MODES]
        rows.append(f"| {name} {_version(cells, name)} | {' | '.join(shown)} |\n")
    return head + "".join(rows)


def _version(cells: Sequence[Cell], name: str) -> str:
    return next(cell.client.version for cell in cells if cell.client.name == name)


def _shown(cell: Cell) -> str:
    parts = [cell.outcome, cell.cause, f"{cell.seen.outcome['seconds']:.1f} s"]
    text = ", ".join(part for part in parts if part)
    match cell.verdict:
        case "holds":
            return text
        case "known":
            return f"{text} (a known exception)"
        case "broken":
            return f"**{cell.complaint}**: {text}"
