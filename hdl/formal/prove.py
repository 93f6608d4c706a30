#!/usr/bin/env python3
"""Proofs of the stages that handle streams, on the Verilog that is generated.

Properties of a stage stand in `<stage>.sv` and are put inside a copy of its generated module, so that they see its
registers; the module's own assertions are proved with them. Each proof is

* unbounded: from the reset state on (base case), and from any state in which the properties hold (k-induction);
* able to fail: for each seeded bug, one line of the module made wrong, a property must be refuted.

That no `valid` depends on its `ready` in the same clock is read from the netlist.

yosys, yosys-smtbmc and z3 must be on the PATH.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
GENERATED = HERE.parent / "generated"

# Stage, geometry (else `edge`), module, depth of the induction, seeded bugs as (pattern, replacement), bugs that show only
# far from the reset state, valid and ready of the streams it drives (`valid` must not depend on `ready`), and assertions
# about its surroundings that hold here by assumption. `inline`: its queues as they are, their registers named
# `<instance>_q_<register>`, not what `fifo` proves of them. `rows`: of its memories only so many rows are kept. `apart`: the step
# of the induction for each property alone. `parts`: patterns of the properties' names; the induction is made for those of one part
# after the other and at last for the rest, with what the parts before it have proved as given. `bound`: clocks from the reset
# state in which the properties hold that are called `bounded_...`; they are not proved beyond it.
STAGES = {
    "register": {
        "module": r"stream_register_w203",
        "depth": 2,
        "bugs": [
            (r"out_data <= held \? held_data : in_data", "out_data <= in_data"),
            (r"if \(advance\) out_data", "out_data"),
            (r"held <= ~advance & \(held \| take\)", "held <= ~advance & take"),
            (r"wire take = in_valid & open", "wire take = in_valid"),
            (r"open <= advance \| \(open & ~in_valid\)", "open <= advance | open"),
        ],
        "streams": [("out_valid", "out_ready"), ("in_ready", "in_valid")],
    },
    "fifo": {
        # The smallest: the others are the same but for their sizes.
        "module": r"stream_fifo_w72_d8",
        "depth": 2,
        "bugs": [
            (r"assign in_ready = count != \S+;", "assign in_ready = 1;"),
            (r"\(read_at \+ 3'd1\)", "(read_at + 3'd2)"),
            (r"out_valid <= \|left", "out_valid <= |count"),
            (r"if \(push\) rows\[write_at\]", "rows[write_at]"),
        ],
        "streams": [("out_valid", "out_ready"), ("in_ready", "in_valid")],
        # The queue must be full.
        "far": [0, 3],
    },
    "ingress": {
        "module": r"ingress",
        "depth": 2,
        "bugs": [
            (r"wire ready = discard \| guarded_ready", "wire ready = 1"),
            (r"oversize_q <= fire & cut", "oversize_q <= fire & at_limit & s_tlast"),
            (r"discard <= discard \? ~\(s_tvalid & s_tlast\)", "discard <= discard ? ~s_tvalid"),
            (r"beats <= frame_end \? 10'd0", "beats <= s_tlast ? 10'd0"),
            (r"assign out_coming = s_tvalid & ~discard", "assign out_coming = s_tvalid & ~(discard & s_tlast)"),
            (r"\| \(~s_tlast & ~\(&s_tkeep\)\)", ""),
            (r"\(\^s_tkeep\) & ~s_tkeep\[15\]", "(^s_tkeep)"),
            (r"torn <= ~frame_end & \(torn \| torn_here\)", "torn <= ~frame_end & torn_here"),
            (r"assign out_behind = ~guarded_ready", "assign out_behind = 0"),
        ],
        "streams": [("out_valid", "out_ready"), ("out_valid", "s_tvalid")],
        # 576 beats of 16 bytes until a frame is cut.
        "far": [1, 2, 3, 4],
    },
    "arbiter": {
        "module": r"arbiter",
        "depth": 2,
        # All credits must be owed.
        "far": [5],
        "bugs": [
            (r"wire chooses = \(ends \|", "wire chooses = (fire |"),
            (r"wire open = room &", "wire open ="),
            (r"valid <= fire;", "valid <= fire & ~starts;"),
            (r"wire served = \|\(grant & requests\)", "wire served = |requests"),
            (r"credits <= \(credits - \{\d+'d0, starts\}\)", "credits <= credits"),
            (r"may_start <= \(\(\S+ <= credits\) & ", "may_start <= ("),
            (r" \| \(requests & ~grant\);", ";"),
            (r"wire \[4:0\] later = soon & after", "wire [4:0] later = soon & ~after"),
        ],
        "streams": [],
    },
    "sequencer": {
        "module": r"sequencer",
        "depth": 2,
        "bugs": [
            (r"if \(go\) number <= last \? 4'd0", "if (go) number <= last ? 4'd1"),
            (r"wire done = go & last", "wire done = go"),
            (r"wire go = \(verdicts_out_valid & \(\|credits\)\)", "wire go = verdicts_out_valid"),
            (r"credit_return <= leaves", "credit_return <= go"),
        ],
        "streams": [("copy_valid", "edit_taken")],
        "surroundings": ["verdict_has_a_slot"],
        # A second order comes eight clocks behind the first.
        "steps": 20,
        # All slots of edits must be taken.
        "far": [2],
    },
    "dispatch": {
        "module": r"dispatch",
        "depth": 2,
        "bugs": [
            (r"wire decided = starts \? fits : taken_q", "wire decided = fits"),
            (r"wire to_host = goes\[4\] & ~limited", "wire to_host = goes[4]"),
            (r"event_valid <= end_valid", "event_valid <= end_valid & taken_q"),
            (r"goes <= place & \{5\{soon & decided\}\}", "goes <= place & {5{soon}}"),
        ],
        "streams": [],
    },
    "egress": {
        "module": "egress",
        "inline": True,
        "depth": 2,
        "bound": 6,
        "steps": 6,
        # The queue must be full, or beats in its memory.
        "far": [0, 1, 2, 4],
        "bugs": [
            (r"assign room = \(beats_inside <= 11'h1b9\)", "assign room = (beats_inside <= 11'h1bb)"),
            (r"& \(users_inside <= 9'hfe\)", ""),
            (r"wire taken = valid & m_tready", "wire taken = valid"),
            (r"if \(beats_advance & \(beats_behind_valid \| beats_more\)\)", "if (beats_behind_valid | beats_more)"),
            (r"wire beats_passes = beats_open & beats_store_empty", "wire beats_passes = beats_open"),
            (r"beats_word\[134\] & m_tlast", "beats_word[134]"),
        ],
        "streams": [("m_tvalid", "m_tready")],
    },
    "scheduler": {
        "geometry": "alveo",
        "module": "scheduler_4",
        "depth": 2,
        "bugs": [
            (r"waits & ~\(pick & ~several\)", "waits"),
            (r"waits & ~\(current & ~several\)", "waits"),
            (r"pick <= free \? \(ended \?", "pick <= (1) ? (ended ?"),
            (r"\{4\{~\(\|and_424\)\}\}", "{4{1'b1}}"),
            (r"\{4\{cat_305 == and_271\}\} & and_271", "4'd0"),
            (r"wire topped_up = ~\(\|\(above & waits\)\)", "wire topped_up = 0"),
            (r"& ~\(balance_2\[17\] & ~\(&balance_2\[17:14\]\)\)", ""),
            (r"wire topped_up = ~\(\|\(above & waits\)\)", "wire topped_up = 1"),
            (r"\{quantum_1, charged_1\}", "{quantum_1, 1'b0}"),
            (r"balance_3 <= sum_3 \|", "balance_3 <= sum_3 &"),
        ],
        # A debt must be large.
        "far": [4, 6, 8],
        "steps": 5,
        "streams": [],
    },
    "buffer": {
        "module": "buffer",
        "depth": 2,
        # That each frame inside has a credit.
        "surroundings": ["end_has_a_slot"],
        "parts": [
            r"edit_\w+|edits_\w+|waits_behind_two|finished_is_at_the_head|armed_is_behind|between_copies|frame_is_done_once",
            r"(?!beat_|low_|high_|reads_what_|ring_not_)\w+",
            r"(?!beat_)\w+",
        ],
        "bugs": [
            (r"visible_less <= written - 12'd1", "visible_less <= written"),
            (r"if \(\(go & packet\) & edits_data\[65\]\) freed", "if (go & packet) freed"),
            (r"at_end & \(most\[4\] \| and_\d+\)", "at_end"),
            (r"used <= 12'h7f8", "used <= 12'h7fe"),
        ],
        "steps": 3,
        # A copy must be read, or the ring be full.
        "far": [1, 2, 3],
        "streams": [],
    },
    "egress_queues": {
        "rows": {"beats": 2, "users": 1, "lasts_0": 1, "lasts_1": 1, "lasts_2": 1, "lasts_3": 1},
        "geometry": "alveo",
        "module": "egress_queues",
        "depth": 2,
        "apart": True,
        # A queue must be full, or beats of two queues in the memory.
        "far": [0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14, 15],
        "bugs": [
            (r"\(beats_2_count <= 9'h6d\)", "(beats_2_count <= 9'h6f)"),
            (r" & \(users_1_count <= 9'hfe\)", ""),
            (r"wire open = advance \| ~behind_valid", "wire open = 1"),
            (r"wire \[3:0\] taken = read_last \? \(read_valid \? and_118", "wire [3:0] taken = read_last ? (read_valid ? and_120"),
            (r"wire passes = \(\(push & open\) & ~read_valid\)", "wire passes = (push & open)"),
            (r"users_2_read_at <= users_2_read_at \+ \{7'd0, begun_2\}", "users_2_read_at <= users_2_read_at + {7'd0, taken[2]}"),
            (r"wire and_483 = push & beat\[519\]", "wire and_483 = push & beat[520]"),
            (r"fresh \? \(read_valid \? users_q : user_in\) : user_held", "read_valid ? users_q : user_in"),
            (r"mux_513\[519\] & last", "mux_513[519]"),
            (r"beats_1_some <= \(beats_1_several \| and_233\)", "beats_1_some <= and_233"),
            (r"\(9'd2 < beats_2_count\)", "(9'd3 < beats_2_count)"),
            (r"wire \[9:0\] read_address = read_last \? \(read_valid \? first_at", "wire [9:0] read_address = read_last ? (read_valid ? next_at"),
            (r"if \(issue\) read_last <=", "read_last <="),
            (r"wire \[7:0\] sum_377 = beats_2_read_at \+ 8'd1", "wire [7:0] sum_377 = beats_2_read_at + 8'd2"),
            (r"lasts_0_read <= beats_0_several", "lasts_0_read <= beats_0_some"),
            (r"if \(and_233 & oldest_1_goes\) lasts_1_passed", "if (and_233) lasts_1_passed"),
        ],
        "steps": 5,
        "streams": [("m_tvalid", "m_tready")],
    },
    "window": {
        "module": "window",
        "depth": 2,
        "bugs": [
            (r"\{128\{~first\}\} & kept_data;", "kept_data;"),
            (r"gap <= emit \? 3'd7", "gap <= emit ? 3'd0"),
            (r"wire emit = \(complete \| waiting\) & ~\(\|gap\)", "wire emit = complete & ~(|gap)"),
            (r"if \(complete\) more_q", "more_q"),
            (r"half <= my_half", "half <= my_half & ~emit"),
            (r"kept_row = \{my_half, at\}", "kept_row = {half, at}"),
            (r"kept_write = valid & collecting", "kept_write = valid & collecting & ~at[0]"),
            (r"wire complete = \(valid & collecting\) & \(beat\[133\] \|", "wire complete = (valid & collecting) & ("),
        ],
        "steps": 5,
        # Two headers must come behind each other.
        "far": [1, 2, 3],
        "streams": [],
    },
    "window_parts": {
        "geometry": "alveo",
        "module": "window",
        "depth": 3,
        "bugs": [
            (r"wire again = missed & complete", "wire again = complete"),
            (r"part1 = again_1 \? kept_1", "part1 = again_2 ? kept_1"),
            (r"\{512\{~or_33_d1\}\} & beat", "{512{~beat_d1[519]}} & beat"),
            (r"\{512\{~beat_d1\[519\]\}\} & beat", "beat"),
            (r"& ~complete;", ";"),
        ],
        "steps": 6,
        "streams": [],
    },
    "editor": {
        "module": "editor",
        "depth": 6,
        "bugs": [
            (r"low = \{128\{in_slot\[4\]\}\} &", "low ="),
            (r"end_valid <= slot_valid_3 & slot_3\[6\]", "end_valid <= slot_valid_3"),
            (r"assign soon_first = slot_3\[0\]", "assign soon_first = in_slot[0]"),
            (r"sent_before \+ 14'h10", "sent_before"),
            (r"slot_3\[6\] \? slot_3\[11:7\] : 5'h10", "slot_3[11:7]"),
            (r"in_slot\[3\] \? odd : even", "in_slot[3] ? even : odd"),
        ],
        "steps": 6,
        "streams": [],
    },
}

REGISTERS = "-$dff,-$dffe,-$sdff,-$sdffe,-$sdffce,-$mem,-$mem_v2,-$memrd,-$memrd_v2"


class Failed(Exception):
    pass


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, **more)


def folder_of(stage):
    return GENERATED / STAGES[stage].get("geometry", "edge")


def inside(text, generated):
    """Files of the modules that a module has instances of, and those inside of them."""
    found = []
    for name in dict.fromkeys(re.findall(r"^ {4}(\w+) \w+ \($", text, re.M)):
        path = generated / f"{name}.v"
        if path.exists() and path not in found:
            found += [path] + [p for p in inside(path.read_text(), generated) if p not in found]
    return found


def inlined(text, generated):
    """The module with its queues' text in place of their instances, so that properties see their registers."""
    for module, instance, ports in re.findall(r"^ {4}(stream_fifo\w+) (\w+) \(\n(.*?)\n {4}\);\n", text, re.M | re.S):
        body = (generated / f"{module}.v").read_text()
        head = body[body.index("module ") : body.index(");") + 2]
        body = body[body.index(head) + len(head) : body.index("endmodule")]
        names = re.findall(r"\b(?:wire|reg|integer) +(?:\[\d+:0\] )?(\w+)", head + body) + re.findall(r"(\w+): (?:assert|cover)", body)
        connected = dict(re.findall(r"\.(\w+)\((.*?)\)(?:,|$)", ports, re.M))
        lines = []
        for way, kind, width, name in re.findall(r"(input|output) +(wire|reg) +(\[\d+:0\] )?(\w+)", head):
            if name in ("clk", "rst"):
                continue
            if way == "input":
                lines.append(f"wire {width}{instance}_q_{name} = {connected[name]};")
            else:
                lines.append(f"{kind} {width}{instance}_q_{name};\nassign {connected[name]} = {instance}_q_{name};")
        for name in set(names) - {"clk", "rst"}:
            body = re.sub(rf"\b{name}\b", f"{instance}_q_{name}", body)
        whole = re.search(rf"^ {{4}}{module} {instance} \(\n.*?\n {{4}}\);\n", text, re.M | re.S).group(0)
        text = text.replace(whole, "\n".join(lines) + body)
    return text


def any_queue(text):
    """In place of a queue, anything that keeps what `fifo` proves: an offered word stays until it is taken, and is counted."""
    head = text[text.index("module ") : text.index(");") + 2]
    head = head.replace("output reg ", "output wire ")
    outputs = re.findall(r"output wire (\[\d+:0\] )?(\w+)", head)
    free = "".join(f"(* anyseq *) wire {width}any_{name};\nassign {name} = any_{name};\n" for width, name in outputs)
    data = dict((name, width) for width, name in outputs)["out_data"]
    return (
        f"{head}\n{free}reg waits = 0;\nreg {data}offered;\n"
        "always @(posedge clk) begin\n"
        "waits <= out_valid & ~out_ready & ~rst;\noffered <= out_data;\n"
        "if (waits) assume (out_valid && out_data == offered);\nif (out_valid) assume (|count);\n"
        "end\nendmodule\n"
    )


def any_scheduler(text):
    """In place of a scheduler, anything that keeps what `scheduler` proves: it picks one of those that waited a clock before and
    have a beat left, or none."""
    head = text[text.index("module ") : text.index(");") + 2].replace("output reg ", "output wire ")
    width = re.search(r"output wire +(\[\d+:0\]) pick", head).group(1)
    return (
        f"{head}\n(* anyseq *) wire {width}any;\nassign pick = any;\nreg {width}left = 0;\n"
        f"wire {width}gives = free ? (ended ? pick : current & waits) : 0;\n"
        "always @(posedge clk) begin\nleft <= rst ? 0 : waits & ~(gives & ~several);\n"
        "assume ((pick & ~left) == 0 && (pick & (pick - 1)) == 0);\nend\nendmodule\n"
    )


def some_rows(text, memory, rows):
    """In place of a memory, only some of its rows, at `<memory>_at_0` and so on; the others answer anything, `<memory>_other`."""
    places = [f"{memory}_at_{n}" for n in range(rows)]
    declared = rf"^ {{4}}(?:\(\* ram_style = \"\w+\" \*\) )?reg (\[\d+:0\] )?{memory} \[0:\d+\];\n"
    width = re.search(declared, text, re.M).group(1) or ""
    kept = "".join(f"    reg {width}{memory}_kept_{n};\n" for n in range(rows))
    changes = [
        (declared, f"{kept}    (* anyseq *) wire {width}{memory}_other;\n"),
        (
            rf"(\w+) <= {memory}\[(\w+)\];",
            r"\1 <= " + "".join(rf"\2 == {place} ? {memory}_kept_{n} : " for n, place in enumerate(places)) + f"{memory}_other;",
        ),
        (
            rf"if \((\w+)\) {memory}\[(\w+)\] <= (\w+(?:\[\d+\])?);",
            "begin " + "".join(rf"if (\1 && \2 == {place}) {memory}_kept_{n} <= \3; " for n, place in enumerate(places)) + "end",
        ),
        (rf"^ {{4}}integer {memory}_row;\n {{4}}initial begin\n.*\n {{4}}end\n", ""),
    ]
    for pattern, change in changes:
        text, times = re.subn(pattern, change, text, flags=re.M)
        if times != 1:
            raise Failed(f"memory `{memory}` is not written and read as it was: `{pattern}`")
    return text


def netlist(folder, stage, text, bounded=False):
    """The stage with its properties as SMT-LIB; `bounded`: with those that hold for a number of clocks only."""
    work = folder / "stage.sv"
    work.write_text(text)
    others = []
    for part in inside(text, folder_of(stage)):
        if part.stem.startswith("stream_fifo"):
            (folder / part.name).write_text(any_queue(part.read_text()))
            part = folder / part.name
        if part.stem.startswith("scheduler"):
            (folder / part.name).write_text(any_scheduler(part.read_text()))
            part = folder / part.name
        others.append(str(part))
    top = re.search(r"^module (\w+)", text, re.M).group(1)
    surroundings = "".join(f"chformal -assert2assume */{name}; " for name in STAGES[stage].get("surroundings", []))
    left_out = "" if bounded or "bound" not in STAGES[stage] else "chformal -remove */bounded_*; "
    script = (
        f"read_verilog -sv -formal {work} {' '.join(others)}; "
        # The reset values of registers.
        f"prep -flatten -top {top}; memory_nordff; {surroundings}{left_out}chformal -cover -remove; "
        f"setundef -anyseq -undriven; opt_clean; write_smt2 -wires {folder / 'stage.smt2'}"
    )
    done = run(["yosys", "-q", "-p", script])
    if done.returncode != 0:
        raise Failed(f"yosys: {done.stderr.strip()}{done.stdout[-400:]}")
    return folder / "stage.smt2"


def solve(smt2, *arguments, seconds=1800, solver="z3"):
    try:
        done = run(["yosys-smtbmc", "-s", solver, "--unroll", *arguments, str(smt2)], timeout=seconds)
    except subprocess.TimeoutExpired:
        return False, "no answer in time"
    refuted = re.findall(r"Assert failed in \w+: (\S+)", done.stdout)
    return done.returncode == 0, ", ".join(dict.fromkeys(refuted)) or done.stdout[-300:]


def step(smt2, depth, seconds=300):
    """The step of the induction, each property alone: many small questions of bit vectors, where the one for all has no answer
    in time. yosys-smtbmc writes down what the properties are refuted with, and is told that nobody could."""
    told, dump, one = (smt2.with_name(name) for name in ("told", "dump.smt2", "one.smt2"))
    told.write_text("sat\n" * depth + "unsat\n")
    command = ["yosys-smtbmc", "-s", "dummy", "--dummy", str(told), "--unroll", "--noincr", "--dump-smt2", str(dump)]
    done = run([*command, "-i", "-t", str(depth), str(smt2)])
    if done.returncode != 0:
        raise Failed(f"yosys-smtbmc: {done.stdout[-300:]}{done.stderr[-300:]}")
    model, text = smt2.read_text(), dump.read_text()
    names = {n: name.split()[-1] for n, name in re.findall(r"^; yosys-smt2-assert (\d+) (.*)$", model, re.M)}
    order = re.findall(r"_a (\d+)\|", re.search(r"define-fun \|\w+_a\|.*?\(and\n(.*?)\)\)", model, re.S).group(1))
    last, number = re.search(r"(\(assert \(not \(and \|UNROLL#(\d+)\| true\)\)\))", text).groups()
    parts = re.findall(r"\|UNROLL#\d+\|", re.search(rf"\(define-fun \|UNROLL#{number}\| \(\) Bool \(and(.*?)\)\)\n", text, re.S).group(1))
    if len(parts) != len(order) or set(order) != set(names):
        raise Failed("the properties are not written down as they were")
    left_out = (";", "(check-sat", "(exit", "(set-info", "(set-logic", "(set-option", last)
    lines = "\n".join(line for line in text.split("\n") if not line.startswith(left_out))
    refuted, open_ = [], []
    for n, part in zip(order, parts):
        one.write_text(f"(set-logic QF_BV)\n{lines}\n(assert (not {part}))\n(check-sat)\n")
        try:
            answer = run(["z3", str(one)], timeout=seconds).stdout.split()
        except subprocess.TimeoutExpired:
            answer = []
        if answer == ["sat"]:
            refuted.append(names[n])
            break
        if answer != ["unsat"]:
            open_.append(names[n])
    if refuted:
        return False, ", ".join(refuted)
    return not open_, f"no answer in time: {', '.join(open_)}" if open_ else ""


def parts(stage, text):
    """The texts the induction is made for: of one part of the properties each, those before it assumed, those behind it left out."""
    names = dict.fromkeys(re.findall(r"\b(\w+): assert \(", text))
    rest, before, texts = list(names), [], []
    for pattern in STAGES[stage].get("parts", []) + [r"\w+"]:
        part = [name for name in rest if re.fullmatch(pattern, name)]
        if not part:
            raise Failed(f"no property is called `{pattern}`")
        rest = [name for name in rest if name not in part]
        one = text
        for name in before:
            one = re.sub(rf"\b{name}: assert \(", f"{name}: assume (", one)
        for name in rest:
            one = re.sub(rf"\b{name}: assert \(", f"{name}: cover (", one)
        texts.append(one)
        before += part
    return texts


def induction(folder, stage, text, bounded=False, seconds=300):
    about = STAGES[stage]
    for part in parts(stage, text):
        smt2 = netlist(folder, stage, part, bounded=bounded)
        apart = about.get("apart")
        good, what = step(smt2, about["depth"], seconds) if apart else solve(smt2, "-i", "-t", str(about["depth"]))
        if not good:
            return False, what
    return True, ""


def longest_out():
    """Bytes of the longest frame that leaves: all headers are put on, only an Ethernet header was there. The wide bus has
    them in one piece, and every card has the same."""
    prefix = re.search(r"output reg +\[(\d+):0\] prefix", (GENERATED / "alveo" / "prefix.v").read_text())
    return 9216 - 14 + (int(prefix.group(1)) + 1) // 8


def with_properties(stage, module):
    """The module with its properties inside. Nothing about it is typed there: `port.field` stands for the bits that the
    module's own comment gives, `HEADER_SLOTS` and the like for the geometry's sizes, `RESET_<register>` for its reset value."""
    generated = folder_of(stage)
    if STAGES[stage].get("inline"):
        module = inlined(module, generated)
    for memory, rows in STAGES[stage].get("rows", {}).items():
        module = some_rows(module, memory, rows)
    properties = (HERE / f"{stage}.sv").read_text()
    for port, record in re.findall(r"^// (\w+): record \w+: (.*)$", module, re.M):
        for field, bits in re.findall(r"(\w+) (\[[\d:]+\])", record):
            properties = re.sub(rf"\b{port}\.{field}\b", f"{port}{bits}", properties)
    sizes = json.loads((generated / "geometry.json").read_text())
    sizes["longest_out"] = longest_out()
    for name in re.findall(r"\b[A-Z]+_[A-Z_]+\b", properties):
        if name.lower() in sizes:
            properties = re.sub(rf"\b{name}\b", str(sizes[name.lower()]), properties)
    resets = dict(re.findall(r"^ {12}(\w+) <= (\d+'[dh]\w+);", module, re.M))
    properties = re.sub(r"\bRESET_(\w+)\b", lambda m: resets[m.group(1)], properties)
    left = re.findall(r"\b(?:event_data|meta|ending|beat|slot|edit|out)\.[a-z]\w+", properties)
    if left:
        raise Failed(f"the module has no field {left[0]}")
    if module.count("\nendmodule") != 1:
        raise Failed("one module is expected in a generated file")
    return module.replace("\nendmodule", f"\n{properties}\nendmodule")


def independent(folder, generated, module, valid, ready):
    """`valid` does not depend on `ready` within a clock."""
    work = folder / "plain.v"
    work.write_text(module)
    others = [str(p) for p in inside(module, generated)]
    top = re.search(r"^module (\w+)", module, re.M).group(1)
    cone = f"o:{valid} %ci*:{REGISTERS} i:{ready} %i"
    script = f"read_verilog -sv {work} {' '.join(others)}; prep -flatten -top {top}; select -assert-any i:{ready};"
    script += f"select -assert-any o:{valid}; select -assert-none {cone}"
    done = run(["yosys", "-q", "-p", script])
    if "Assertion failed" in done.stderr + done.stdout and "selection is not empty" in done.stderr + done.stdout:
        return False
    if done.returncode != 0:
        raise Failed(f"yosys: {done.stderr.strip()}")
    return True


def prove(stage):
    about = STAGES[stage]
    path = folder_of(stage) / f"{about['module']}.v"
    module = path.read_text()
    text = with_properties(stage, module)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        smt2 = netlist(folder, stage, text)
        depth = str(about["depth"])
        good, what = solve(smt2, "-t", depth)
        if not good:
            raise Failed(f"refuted from the reset state: {what}")
        good, what = induction(folder, stage, text)
        if not good:
            raise Failed(f"not inductive: {what}")
        if "bound" in about:
            good, what = solve(netlist(folder, stage, text, bounded=True), "-t", str(about["bound"]), seconds=900)
            if not good:
                raise Failed(f"refuted within {about['bound']} clocks: {what}")
        for n, (pattern, bug) in enumerate(about["bugs"]):
            broken, times = re.subn(pattern, bug, text, count=1)
            if times != 1:
                raise Failed(f"seeded bug {n}: `{pattern}` is no longer in {path.name}; seed it anew")
            # Some bugs show too far from the reset state: there the step of the induction must fail that held without them.
            if n in about.get("far", []):
                holds, what = induction(folder, stage, broken, seconds=60)
            else:
                smt2 = netlist(folder, stage, broken, bounded=True)
                holds, what = solve(smt2, "-t", str(about.get("steps", 8)))
            if not holds and ("in time" in what or "Traceback" in what):
                raise Failed(f"seeded bug {n}: {what}")
            if holds:
                raise Failed(f"seeded bug {n} (`{bug}`) is not found")
            print(f"  {stage}: bug `{bug}` refutes {what}", flush=True)
        for valid, ready in about["streams"]:
            if not independent(folder, folder_of(stage), module, valid, ready):
                raise Failed(f"`{valid}` depends on `{ready}` in the same clock")
    properties = len(re.findall(r": assert \(", text))
    some = len(re.findall(r"bounded_\w+: assert \(", text))
    bound = f" ({some} of them for {about['bound']} clocks from reset)" if some else ""
    print(f"{stage}: {properties} properties proved{bound}, {len(about['bugs'])} seeded bugs found, {time.monotonic() - started:.0f} s", flush=True)


def netlist_check_can_fail():
    with tempfile.TemporaryDirectory() as name:
        module = "module m(input wire r, input wire clk, output wire v);\nassign v = ~r;\nendmodule\n"
        if independent(pathlib.Path(name), GENERATED, module, "v", "r"):
            raise Failed("the netlist check does not see that a valid depends on its ready")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="stages: " + ", ".join(STAGES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stages", metavar="STAGE", nargs="*", help="all that are proved, unless some are named")
    stages = parser.parse_args().stages or [stage for stage in STAGES if not STAGES[stage].get("open")]
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown:
        parser.error(f"no stage {', '.join(unknown)}; there are {', '.join(STAGES)}")
    failed = 0
    try:
        netlist_check_can_fail()
    except Failed as error:
        sys.exit(str(error))
    for stage in stages:
        try:
            prove(stage)
        except Failed as error:
            failed += 1
            print(f"{stage}: FAILED: {error}")
    sys.exit(1 if failed else 0)


main()
