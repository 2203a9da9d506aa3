#!/usr/bin/env python3
"""tests/model/mutants.py -- every memory order of the modelled sources one step weaker: killed, or justified.

    mutants.py PROGRAMS check SECTION...     as the committed table says?  (ctest: mutant.SECTION)
    mutants.py PROGRAMS write [SECTION...]   write it into MUTANTS.md anew, the totals too
    mutants.py PROGRAMS soak SECTION...      the undecided ones with ten million states
    mutants.py check-total                   the totals at the top of the table, and that no justification is left over

PROGRAMS is the directory of the model programs.  A section is a header, and the models that may kill its mutants; what a
model transcribes from elsewhere is marked there, `/* = FILE:FUNCTION */` at the end of the line, and weakened as well.
Limits are numbers of states, not times: so the result does not depend on the machine.

What survives in all instances must stand in justified.txt, and what stands there must survive.
SPDX-License-Identifier: Apache-2.0 OR MIT"""
import collections
import concurrent.futures
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TABLE = os.path.join(HERE, "MUTANTS.md")
LEVELS = [1_000, 10_000]  # states an instance may cost, from cheap to dear; then the section's own
SOAK = 10_000_000
SOAK_STEPS = {"idle retest-once"}  # run with label soak: as CMakeLists.txt has it

# section: source (None: only what is transcribed), the models that may kill its mutants, states at most
SECTIONS = {
    "deque": ("sched/deque.h", ["deque", "idle"], 100_000),
    "join": ("sched/join.h", ["join"], 100_000),
    "idle": ("sched/idle.h", ["idle", "quiet"], 100_000),
    "quiet": ("sched/quiet_core.h", ["quiet"], 300_000),
    "wait": ("sched/wait.h", ["wait", "end"], 100_000),
    "end": ("sched/end.h", ["end"], 100_000),
    "run_queue": ("sched/run_queue.h", ["run_queue", "idle"], 100_000),
    "inbox": ("sched/inbox.h", ["inbox", "idle"], 100_000),
    "tree": (None, ["tree"], 100_000),
    "remote": ("alloc/remote_list.h", ["remote"], 100_000),
    "spin": ("alloc/spin.h", ["spin"], 100_000),
    "bias": ("sched/bias.h", ["bias"], 100_000),
    "chan": (None, ["chan"], 100_000),
    "mutex": ("sched/mutex_core.h", ["mutex"], 100_000),
    "semaphore": ("sched/sem_core.h", ["semaphore"], 100_000),
    "rwlock": ("sched/rwlock_core.h", ["rwlock"], 100_000),
    "cond": (None, ["cond"], 100_000),
    "ticket": ("effect/ticket.h", ["ticket"], 100_000),
}

# ---- the sources -------------------------------------------------------------------------------------------

# line, last: of the call; text: as the table shows it; origin: FILE:FUNCTION of a transcription
Access = collections.namedtuple("Access", "file line last func op order text origin")
OPERATION = re.compile(r"\batom_(load|store|xchg|add|sub|or|and|cas)_(rlx|acq|rel|ar|seq)\(|\batom_(fence)_(?:after_rmw|light|heavy)\(")
ORIGIN = re.compile(r"/\* = ([\w/.]+):(\w+) \*/")


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def close(text, at):
    """The place after the parenthesis that closes the one before `at`, and the end of the first argument."""
    depth, comma = 1, None
    while depth:
        c = text[at]
        depth += (c in "([{") - (c in ")]}")
        if c == "," and depth == 1 and comma is None:
            comma = at
        at += 1
    return at, comma or at - 1


def functions(code):
    """The functions' names, by line of the code without comments: they begin and end in column 0."""
    names, now = {}, None
    for number, line in enumerate(code.split("\n"), 1):
        bare = re.sub(r"__attribute__\(\(.*?\)\)\)? *", "", line)
        head = re.match(r"(?!#|typedef|struct|enum|_Static)[A-Za-z_].*?(\w+)\(", bare)
        if head:
            now = head.group(1)
        names[number] = now
        if line.startswith("}"):
            now = None
    return names


def accesses(file):
    with open(os.path.join(ROOT, file)) as f:
        source = f.read()
    code = re.sub(r"/\*.*?\*/|//[^\n]*", blank, source, flags=re.S)
    lines, names, counts, found = source.split("\n"), functions(code), collections.Counter(), []
    for m in OPERATION.finditer(code):
        end, arg_end = close(code, m.end())
        line, last = code.count("\n", 0, m.start()) + 1, code.count("\n", 0, end - 1) + 1
        op = m.group()[len("atom_"):-1]
        text = "%s(%s)" % (op, " ".join(code[m.end():arg_end].split()))
        func = names[line]
        counts[func, text] += 1
        if counts[func, text] > 1:
            text += "#%d" % counts[func, text]
        origin = ORIGIN.search(lines[last - 1])
        order = "seq" if m.group(3) else m.group(2)
        found.append(Access(file, line, last, func, op, order, text, origin and origin.groups()))
    return found


def weaker(a):
    if a.op.startswith("fence_"):
        return ["rlx"]
    if a.order == "seq":
        return [{"load": "acq", "store": "rel"}.get(a.op.split("_")[0], "ar")]
    return {"ar": ["acq", "rel"], "acq": ["rlx"], "rel": ["rlx"], "rlx": []}[a.order]


def transcribed(section):
    """The marked accesses of the section's own model; each must still be where the mark says."""
    marked = [a for a in accesses("tests/model/%s_model.c" % section) if a.origin]
    for a in marked:
        file, func = a.origin
        if not any(b.func == func and b.op == a.op for b in accesses(file)):
            sys.exit("%s:%d: there is no %s in %s of %s any more" % (a.file, a.line, a.op, func, file))
    return marked


def step_mutants(model):
    with open(os.path.join(HERE, model + "_model.c")) as f:
        return re.findall(r'^    \{"([a-z_-]+)", "([a-z_-]+)", (?:&(\w+), NULL, NULL, NULL|NULL, "(.*?)", "(.*?)", "(\w+)")\}', f.read(), re.M)


def justifications():
    """{(file, function, access, weaker): reason}"""
    all_ = {}
    with open(os.path.join(HERE, "justified.txt")) as f:
        text = re.sub(r"\n[ \t]+", " ", f.read())
    for line in text.split("\n"):
        if not line.strip() or line.startswith("#"):
            continue
        m = re.fullmatch(r"(\S+) (\w+) (\S.*?) -> (\w+): (.+)", line)
        if not m:
            sys.exit("justified.txt: cannot read: " + line)
        if m.groups()[:4] in all_:
            sys.exit("justified.txt: twice: " + line)
        all_[m.groups()[:4]] = m.group(5)
    return all_


# ---- the programs ------------------------------------------------------------------------------------------


class Models:
    def __init__(self, directory, names, levels):
        self.directory, self.levels = directory, levels
        self.instances = {m: [l.split()[1] for l in self.run(m).splitlines() if l.startswith("instance ") and not l.endswith(" sc")] for m in names}
        self.met = {m: [l.split(" ", 3) for l in self.run(m, "sites", levels[-1], *self.instances[m]).splitlines()] for m in names}

    def run(self, model, *args):
        program = os.path.join(self.directory, model + "_model")
        return subprocess.run([program, *map(str, args)], check=True, stdout=subprocess.PIPE, text=True).stdout

    def sites(self, a):
        """{(model, line): instances} where it is executed: the line is the compiler's for a call of several."""
        found = {}
        for model, met in self.met.items():
            for instance, file, line, access in met:
                if file.endswith("/" + a.file) and a.line <= int(line) <= a.last and access.startswith(a.op + "("):
                    found.setdefault((model, int(line)), []).append(instance)
        return found

    def try_(self, a, to):
        """-> ("killed", "model instance") or ("survives", how many instances hold, and how many are undecided)"""
        open_ = self.sites(a)
        held = 0
        for limit in self.levels:
            for (model, line), left in open_.items():
                if not left:
                    continue
                out = self.run(model, "weaken", a.file, line, a.op, to, limit, *left)
                results = [l.split() for l in out.splitlines()]
                if results[-1][0] == "killed":
                    return "killed", "%s %s" % (model, results[-1][1])
                open_[model, line] = [name for how, name in results if how == "open"]
                held += sum(how == "holds" for how, _ in results)
        left = sum(map(len, open_.values()))
        return "survives", (held, left)


# ---- sections ----------------------------------------------------------------------------------------------

NAMES = {"rlx": "relaxed", "acq": "acquire", "rel": "release", "ar": "acq_rel", "seq": "seq_cst"}


def shown(section, models, levels, problems):
    """The lines of a section."""
    source = SECTIONS[section][0]
    known = justifications()
    every = (accesses(source) if source else []) + transcribed(section)
    for a in every:
        if not models.sites(a):
            problems.append("%s:%d: %s: %s is executed in no instance" % (a.file, a.line, a.func, a.text))
    work = [(a, to) for a in every for to in weaker(a) if models.sites(a)]
    results = [(a, to, *models.try_(a, to)) for a, to in work]
    killed = justified = 0
    rows = []
    for a, to, how, what in results:
        key = (a.file, a.func, a.text, to)
        where = a.func if a.file == source else "%s (%s:%s)" % (a.func, *a.origin)
        if how == "killed":
            killed += 1
            verdict = "killed by " + what
            if key in known:
                problems.append("justified.txt is out of date, %s kills: %s %s %s -> %s" % (what, *key))
        else:
            justified += 1
            held, left = what
            reason = known.get(key)
            if not reason:
                problems.append("survives and is not justified: %s %s %s -> %s" % key)
            looked = "%d instances" % held if not left else "%d of %d instances, the others as far as %d states" % (
                held, held + left, levels[-1])
            verdict = "survives %s: %s" % (looked, reason or "?")
        rows.append("| %s | `%s` | %s | %s |" % (where, a.text, "none" if a.op.startswith("fence") else NAMES[to], verdict))
    for key in known:
        if key[0] in (source, "tests/model/%s_model.c" % section) and not any(key == (a.file, a.func, a.text, to) for a, to in work):
            problems.append("justified.txt names what is not there: %s %s %s -> %s" % key)
    steps = step_mutants(section)
    lines = ["## " + title(section), ""]
    lines.append("%d accesses, %d of them relaxed; %d weaker orders: %d killed, %d justified. %d steps changed by hand: killed." % (
        len(every), sum(a.order == "rlx" for a in every), len(results), killed, justified, len(steps)))
    lines += ["", "| function | access | weaker | |", "|---|---|---|---|"] + rows
    if steps:
        lines += ["", "| changed by hand | killed by |", "|---|---|"]
        for name, instance, flag, func, access, to in steps:
            what = name if flag else "%s: %s, `%s` %s" % (name, func, access, NAMES[to])
            soak = " (9 million states; label soak)" if "%s %s" % (section, name) in SOAK_STEPS else ""
            lines.append("| %s | %s %s%s |" % (what, section, instance, soak))
    return lines


def title(section):
    return SECTIONS[section][0] or "tests/model/%s_model.c" % section


def committed():
    """{section: its lines} and the lines at the top."""
    with open(TABLE) as f:
        parts = re.split(r"(?m)^(?=## )", f.read())
    by_title = {p.split("\n", 1)[0]: p.rstrip("\n").split("\n") for p in parts[1:]}
    return {s: by_title.get("## " + title(s), []) for s in SECTIONS}, parts[0]


def totals(sections):
    """The top of the table."""
    n = [0] * 6
    for lines in sections.values():
        m = re.search(r"(\d+) accesses, (\d+) of them relaxed; (\d+) weaker orders: (\d+) killed, (\d+) justified. (\d+) steps",
                      "\n".join(lines))
        n = [a + int(b) for a, b in zip(n, m.groups())] if m else n
    return """# Mutants

Generated by `mutants.py write`; reasons come from justified.txt.  The tests mutant.* compare.

| | |
|---|---|
| accesses in the modelled sources, of them relaxed | %d, %d |
| orders one step weaker | %d |
| killed | %d |
| justified | %d |
| steps changed by hand, all killed | %d |
| mutants in all | %d |

""" % (n[0], n[1], n[2], n[3], n[4], n[5], n[2] + n[5])


def run_section(directory, section, soak=False):
    problems = []
    levels = LEVELS + [SECTIONS[section][2]] + ([SOAK] if soak else [])
    models = Models(directory, SECTIONS[section][1], levels)
    return shown(section, models, levels, problems), problems


def write_table(sections):
    with open(TABLE, "w") as f:
        f.write(totals(sections) + "\n\n".join("\n".join(sections[s]) for s in SECTIONS if sections[s]) + "\n")


def check_total():
    sections, top = committed()
    problems = [] if top == totals(sections) else ["MUTANTS.md: the totals are not the sums: mutants.py write"]
    files = {SECTIONS[s][0] for s in SECTIONS} | {"tests/model/%s_model.c" % s for s in SECTIONS}
    problems += ["justified.txt: %s is in no section" % k[0] for k in justifications() if k[0] not in files]
    problems += ["MUTANTS.md: no section " + s for s in SECTIONS if not sections[s]]
    return problems


def main(args):
    if args == ["check-total"]:
        problems = check_total()
    else:
        directory, mode, wanted = args[0], args[1], args[2:] or list(SECTIONS)
        old = committed()[0] if os.path.exists(TABLE) else {s: [] for s in SECTIONS}
        problems = []
        with concurrent.futures.ThreadPoolExecutor(2 if mode == "write" else 1) as pool:
            for s, (lines, wrong) in zip(wanted, pool.map(lambda s: run_section(directory, s, mode == "soak"), wanted)):
                problems += wrong
                if mode == "check" and lines != old[s]:
                    problems.append("MUTANTS.md is out of date: mutants.py PROGRAMS write %s" % s)
                    problems += ["    " + l for l in lines if l not in old[s]]
                old[s] = lines
        if mode == "write":
            write_table(old)
    print("\n".join(problems) if problems else "as the table says")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
