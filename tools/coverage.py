#!/usr/bin/env python3
"""Which lines and bits of the RTL the tests reach: a table by module.

    tools/coverage.py COVERAGE.dat OUT.md [SOURCES ANNOTATED]

COVERAGE.dat is what a simulator built with `--coverage-line --coverage-toggle` has counted. A point counts as reached if it is in any
instance of its module. A line is a line of a process or branch; a toggle is one bit of a signal that went up and down. With
SOURCES and ANNOTATED, `verilator_coverage` writes the Verilog with its counts beside each line there.
"""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path


def points(path):
    """(module, kind, place and name) with the count of each point, instances added up."""
    counts = defaultdict(int)
    for line in Path(path).read_text(errors="replace").splitlines():
        found = re.match(r"C '(.*)' (\d+)$", line)
        if not found:
            continue
        fields = dict(part.split("\x02", 1) for part in found.group(1).split("\x01") if "\x02" in part)
        kind, _, module = fields.get("page", "").partition("/")
        module = re.sub(r"__.*", "", module)
        counts[module, kind.removeprefix("v_"), (fields["f"], fields["l"], fields.get("n", ""), fields.get("o", ""))] += int(found.group(2))
    return counts


def group(module):
    """The name under which a module is shown: those that are the same but for their size are one."""
    return re.sub(r"^(stream_fifo|stream_register|counter_set|gcra_bytes|gcra_packets)_.*", r"\1_*", module)


def main():
    data, out = sys.argv[1], Path(sys.argv[2])
    if len(sys.argv) > 4:
        # It finds sources by the names in the data, which are those of their folder.
        annotated, counted = Path(sys.argv[4]).resolve(), Path(data).resolve()
        subprocess.run(["verilator_coverage", "--annotate", annotated, "--annotate-all", counted], check=True, cwd=sys.argv[3], stdout=subprocess.DEVNULL)
    table = defaultdict(lambda: {"line": [0, 0], "toggle": [0, 0]})
    missed = defaultdict(lambda: defaultdict(int))
    lines_missed = []
    for (module, kind, place), count in points(data).items():
        kind = "line" if kind in ("line", "branch") else kind
        if kind not in ("line", "toggle"):
            continue
        row = table[group(module)][kind]
        row[0] += count > 0
        row[1] += 1
        if count == 0 and kind == "toggle":
            missed[group(module)][re.sub(r"\[.*|:.*", "", place[3])] += 1
        if count == 0 and kind == "line":
            lines_missed.append((group(module), Path(place[0]).name, int(place[1]), place[3]))
    percent = lambda hit, of: f"{100 * hit / of:.1f} %" if of else "-"  # noqa: E731
    text = ["| module | lines | | toggles | | most bits not toggled |", "| --- | ---: | ---: | ---: | ---: | --- |"]
    total = {"line": [0, 0], "toggle": [0, 0]}
    for module in sorted(table):
        row = table[module]
        for kind in total:
            total[kind] = [a + b for a, b in zip(total[kind], row[kind])]
        worst = sorted(missed[module].items(), key=lambda item: -item[1])[:3]
        worst = ", ".join(f"`{name}` {count}" for name, count in worst)
        (lh, lo), (th, to) = row["line"], row["toggle"]
        text.append(f"| `{module}` | {lh} of {lo} | {percent(lh, lo)} | {th} of {to} | {percent(th, to)} | {worst} |")
    (lh, lo), (th, to) = total["line"], total["toggle"]
    text.append(f"| **all** | {lh} of {lo} | **{percent(lh, lo)}** | {th} of {to} | **{percent(th, to)}** | |")
    if lines_missed:
        text += ["", "Lines not reached: " + ", ".join(f"`{f}:{line}`" for _, f, line, _ in sorted(lines_missed)) + "."]
    begin, end = "<!-- figures -->\n", "<!-- end of figures -->\n"
    before, after = "# Coverage\n\n", ""
    if out.exists() and begin in out.read_text():
        before, rest = out.read_text().split(begin, 1)
        after = rest.split(end, 1)[1]
    out.write_text(before + begin + "\n".join(text) + "\n" + end + after)
    print(f"lines {percent(lh, lo)}, toggles {percent(th, to)}: {out}")


main()
