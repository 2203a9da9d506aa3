#!/usr/bin/env python3
"""Counts calls of exported functions: writes a thunk for each, and the options of the compiler that put it in front.

usage: entries.py NM LIBWEFT.so OUT.S OUT.options.  A thunk counts and jumps: it knows no signature, and changes nothing
that a call may expect to be kept.
SPDX-License-Identifier: Apache-2.0 OR MIT"""

import platform
import subprocess
import sys

# What nobody can call and go on (a defect of Weft, told and aborted).
NEVER = {"weft__never"}
COUNT = {
    "x86_64": "    lock incq {name}_calls(%rip)\n    jmp __real_{name}\n",
    "aarch64": "    adrp x16, {name}_calls\n    add x16, x16, :lo12:{name}_calls\n    ldr x17, [x16]\n"
               "    add x17, x17, #1\n    str x17, [x16]\n    b __real_{name}\n",
}


def main():
    nm, library, assembly, options = sys.argv[1:]
    lines = subprocess.run([nm, "-D", "--defined-only", library], check=True, text=True, capture_output=True).stdout
    fields = [line.split() for line in lines.splitlines()]
    names = sorted(f[-1].split("@")[0] for f in fields if f[-2] == "T" and f[-1].startswith("weft_"))
    names = [n for n in names if n not in NEVER]
    text, data = "    .text\n", "    .data\n    .balign 8\n    .globl weft_entries\nweft_entries:\n"
    for n in names:
        text += f"    .globl __wrap_{n}\n    .type __wrap_{n}, %function\n__wrap_{n}:\n"
        text += COUNT[platform.machine()].format(name=n)
        data += f"    .quad {n}_name\n{n}_calls: .quad 0\n"
    data += "    .quad 0, 0\n    .section .rodata\n"
    data += "".join(f'{n}_name: .string "{n}"\n' for n in names)
    with open(assembly, "w") as out:
        out.write(text + data + '    .section .note.GNU-stack,"",%progbits\n')
    with open(options, "w") as out:
        out.write("".join(f"-Wl,--wrap={n}\n" for n in names))
    return 0 if len(names) > 50 else 1


sys.exit(main())
