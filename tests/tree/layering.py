#!/usr/bin/env python3
"""The rules of the tree: what may include what, and which file alone knows each foreign thing.

usage: layering.py ROOT.  Prints each violation as file:line and fails if there is one.  Before it
looks at ROOT it plants one violation of every rule in a scratch tree and fails if any goes unseen.
SPDX-License-Identifier: Apache-2.0 OR MIT"""

import pathlib
import re
import sys
import tempfile

LAYERS = ["alloc", "sched", "effect"]  # each may use itself and what stands before it
SUFFIXES = {".c", ".h", ".S"}

# Words that may stand in code only in the named files.
KNOWS = [
    ("fcontext", r"\b(?:jump|make|ontop)_fcontext\b", re.compile(r"sched/ctx[^/]*\.(?:c|h|S)$")),
    ("jemalloc", r"\b\w*jemalloc\w*\b|\b(?:mallocx|rallocx|dallocx|sdallocx|mallctl\w*)\b",
     re.compile(r"alloc/heap\.c$")),
    ("memory order", r"\bmemory_order(?:_\w+)?\b|\b__ATOMIC_[A-Z_]+\b", re.compile(r"alloc/atomic\.h$")),
    ("operating system",
     r"\b(?:mmap|munmap|mprotect|madvise|sigaction|sigaltstack)\s*\(|\bSYS_futex\b|\bFUTEX_\w+|<linux/futex\.h>",
     re.compile(r"alloc/os_linux\.c$")),
]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def strip(text):
    """The code without comments and, except in includes, without the contents of literals."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    token = re.compile(r'/\*.*?\*/|//[^\n]*|^[ \t]*#[ \t]*include[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                       re.S | re.M)
    return token.sub(lambda m: m.group(0) if m.group(0).lstrip().startswith("#") else blank(m), text)


def layer_of(root, form, name):
    """The layer that an include names, or None for what is not ours."""
    first = name.split("/", 1)[0]
    if form == '"':
        return first
    if first == "weft":
        for layer in LAYERS + ["bench", "tests"]:
            if (root / layer / "include" / name).is_file():
                return layer
        return "nowhere"
    return None


def check(root):
    found = []
    public = [p.name for layer in LAYERS for p in (root / layer / "include/weft").glob("*.h")]
    for name in {n for n in public if public.count(n) > 1}:
        found.append(f"{name}: two layers have a public header of this name")
    for index, layer in enumerate(LAYERS):
        for path in sorted((root / layer).rglob("*")):
            if path.suffix not in SUFFIXES:
                continue
            where = path.relative_to(root).as_posix()
            is_public = f"{layer}/include/" in where
            for number, line in enumerate(strip(path.read_text()).splitlines(), 1):
                include = INCLUDE.match(line)
                if include:
                    form, name = include.groups()
                    other = layer_of(root, form, name)
                    if other == "nowhere":
                        found.append(f"{where}:{number}: <{name}> is no public header of any layer")
                    elif other in LAYERS and LAYERS.index(other) > index:
                        found.append(f"{where}:{number}: {layer} may not include {other} ({name})")
                    elif other is not None and other not in LAYERS:
                        found.append(f'{where}:{number}: "{name}": internal headers are named from the root, '
                                     f'"layer/name.h", and only {", ".join(LAYERS)} may be used')
                    if form == '"' and is_public:
                        found.append(f'{where}:{number}: a public header may not include "{name}": '
                                     "it is not installed")
                    if form == '"' and not (root / name).is_file():
                        found.append(f'{where}:{number}: "{name}" is not there')
                for what, words, home in KNOWS:
                    match = re.search(words, line)
                    if match and not home.search(where):
                        found.append(f"{where}:{number}: {what} ({match.group(0).strip()}) "
                                     f"belongs into {home.pattern}")
    return found


def self_check():
    clean = {
        "alloc/include/weft/base.h": "#include <stddef.h>\n",
        "alloc/heap.c": '#include "alloc/heap.h"\n#include <jemalloc/jemalloc.h>\n',
        "alloc/heap.h": '/* jemalloc, memory_order_relaxed and mmap() may be talked about */\n',
        "alloc/atomic.h": "x = memory_order_relaxed;\n",
        "alloc/os_linux.c": "p = mmap(0);\n",
        "sched/include/weft/fork.h": "#include <weft/base.h>\n",
        "sched/ctx_fcontext.c": "jump_fcontext(x);\n",
        "sched/fork.c": '#include "alloc/heap.h"\nsay("jemalloc");\n',
        "effect/scope.c": '#include "sched/fork.c"\n',
    }
    planted = [
        ("alloc/bad.c", '#include <weft/fork.h>\n', "may not include sched"),
        ("alloc/bad.c", '#include "sched/fork.c"\n', "may not include sched"),
        ("sched/bad.h", '#  include "effect/scope.c"\n', "may not include effect"),
        ("sched/bad.c", '#include "heap.h"\n', "named from the root"),
        ("sched/bad.c", '#include "alloc/gone.h"\n', "is not there"),
        ("sched/bad.c", '#include <weft/gone.h>\n', "no public header"),
        ("sched/bad.c", '#include "tests/test.h"\n', "may be used"),
        ("sched/include/weft/bad.h", '#include "alloc/heap.h"\n', "not installed"),
        ("effect/include/weft/base.h", "\n", "two layers"),
        ("sched/bad.c", "/* one */ jump_fcontext(a, b);\n", "fcontext"),
        ("sched/bad.c", "#include <jemalloc/jemalloc.h>\n", "jemalloc"),
        ("alloc/slab.c", "mallocx(1, 0);\n", "jemalloc"),
        ("sched/bad.c", "atomic_load_explicit(&a, memory_order_acquire);\n", "memory order"),
        ("sched/bad.c", "__atomic_load_n(&a, __ATOMIC_ACQUIRE);\n", "memory order"),
        ("alloc/stack.c", "madvise(p, n, 1);\n", "operating system"),
        ("sched/bad.c", "syscall(SYS_futex, p);\n", "operating system"),
    ]

    def tree(files):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            return check(root)

    wrong = [f"a clean tree is reported: {line}" for line in tree(clean)]
    for name, text, says in planted:
        found = tree({**clean, name: text})
        if not any(says in line for line in found):
            wrong.append(f"planted {text.strip()!r} in {name} goes unseen; found {found}")
    return wrong


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    wrong = self_check()
    if wrong:
        print("layering.py does not work:", *wrong, sep="\n  ")
        return 2
    found = check(root)
    print(*found, sep="\n")
    print(f"{len(found)} violations")
    return 1 if found else 0


sys.exit(main())
