#!/usr/bin/env python3
"""Where the wires of a placed ECP5 design are: wires.py PLACED.json

PLACED.json is what nextpnr-ecp5 writes with `--no-route --write PLACED.json`, with the arguments of `place.rs`. Each net counts with the
shortest rectilinear tree between its cells, in tiles; clocks, which have wires of their own, do not.
"""

import collections
import json
import re
import sys

CLOCKS = ("CLK", "CLKA", "CLKB", "WCK")
# The tree takes the square of the places; of nets with more the half of the bounding box is counted.
MOST_PLACES = 1500


def tree(places):
    """Tiles of the shortest tree over places (Prim)."""
    left = set(places)
    if len(left) < 2:
        return 0
    if len(left) <= 3 or len(left) > MOST_PLACES:
        columns, rows = zip(*left)
        return max(columns) - min(columns) + max(rows) - min(rows)
    at = left.pop()
    far = dict.fromkeys(left, sys.maxsize)
    tiles = 0
    while far:
        for place in far:
            far[place] = min(far[place], abs(place[0] - at[0]) + abs(place[1] - at[1]))
        at = min(far, key=far.get)
        tiles += far.pop(at)
    return tiles


def nets(top):
    """(name, tiles, loads) of each net."""
    drivers, loads = {}, collections.defaultdict(list)
    for name, cell in top["cells"].items():
        place = re.match(r"X(\d+)/Y(\d+)/", cell["attributes"].get("NEXTPNR_BEL", ""))
        if not place:
            continue
        place = (int(place[1]), int(place[2]))
        for port, bits in cell["connections"].items():
            for bit in (b for b in bits if isinstance(b, int)):
                if cell["port_directions"][port] == "output":
                    drivers[bit] = (place, name)
                elif port not in CLOCKS:
                    loads[bit].append(place)
    names = {}
    for name, net in top["netnames"].items():
        for bit in net["bits"]:
            names.setdefault(bit, name)
    for bit, (place, cell) in drivers.items():
        if loads[bit]:
            yield names.get(bit, cell), tree([place, *loads[bit]]), len(loads[bit])


def stage(name):
    """Stage and the part of it that a net comes from."""
    path = name.split(".")
    if path[0] != "dut":
        return "pins" if len(path) == 1 else "core"
    return re.sub(r"_p\d", "", ".".join(path[1:-1][:2])) or "core"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            modules = json.load(file)["modules"].values()
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"wires.py: {sys.argv[1]}: {error!r}; it is to be what nextpnr writes with --write")
    top = max(modules, key=lambda m: len(m["cells"]))
    sums = {title: collections.Counter() for title in ("stage", "name", "loads")}
    for name, tiles, loads in nets(top):
        sums["stage"][stage(name)] += tiles
        sums["name"][re.sub(r"\$?\d+", "#", re.sub(r"\[\d+\]$", "", name))] += tiles
        sums["loads"][next((str(m) for m in (1, 4, 16, 64, 256) if loads <= m), "more")] += tiles
    whole = sum(sums["stage"].values())
    print(f"{whole} tiles of wire")
    for title, found in sums.items():
        print(f"\n| by {title} | tiles | share |\n| --- | ---: | ---: |")
        for what, tiles in found.most_common(60):
            print(f"| `{what}` | {tiles} | {tiles / max(whole, 1):.1%} |")


main()
