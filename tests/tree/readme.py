"""What the README shows is what the tests run: its program is tests/examples/hello.c, its output hello.expected, and
every file it links to exists.  readme.py ROOT

SPDX-License-Identifier: Apache-2.0 OR MIT"""
import re
import sys
from pathlib import Path

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def complaints(root, text):
    blocks = FENCE.findall(text)
    program = next((body for language, body in blocks if language == "c"), "")
    output = next((body for language, body in blocks if language == ""), "")
    example = (root / "tests/examples/hello.c").read_text()
    example = example[example.index("#include"):]
    if program != example:
        yield "the README's program is not tests/examples/hello.c"
    if output != (root / "tests/examples/hello.expected").read_text():
        yield "the README's output is not tests/examples/hello.expected"
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        if not (root / target).exists():
            yield f"the README links to {target}, which does not exist"


def main():
    root = Path(sys.argv[1])
    text = (root / "README.md").read_text()
    found = list(complaints(root, text))
    planted = text.replace("fib(n - 1)", "fib(n - 3)") + "[x](nowhere/at.all)"
    if len(list(complaints(root, planted))) != len(found) + 2:
        sys.exit("readme.py does not notice a planted fault")
    if found:
        sys.exit("\n".join(found))


main()
