"""Each identifier that the source documents name has a row in effect/README.md, with its counterpart, which stands in the
header that the row names, or with a reason why there is none.  identifiers.py ROOT

S000 stands for S001 as well: they are the same page.

SPDX-License-Identifier: Apache-2.0 OR MIT"""
import re
import sys
from pathlib import Path

HEADING = "## What the source documents call it"
NAMED = {
    "S000": [
        "`Runtime()`", "`fork`", "`Fiber`", "`await_`", "`interrupt`", "`shutdown`", "`runtime_context()`", "`AnyIORuntime`",
        "`Effect`", "`Context`", "`_run(ctx)`", "`succeed`", "`Scope`", "`close`", "`TestClock`",
        "`TestClockLayer(clock).build_scoped(ctx, scope)`", "`Clock.current_time`", "`Clock.sleep`", "`TestClock.advance`",
        "`ctx.get(Clock)`", "cancellation error in the body", "`TaskSupervisor`", "services list", "overhead percentage",
    ],
    "S002": [
        "`sync_run`", "`async_run`", "`sync_handlers_preset`", "`async_handlers_preset`", "`env`", "`store`", "`RuntimeResult`",
        *(f"`RuntimeResult.{field}`" for field in ("result", "value", "error", "is_ok", "is_err", "raw_store", "env", "k_stack",
                                                   "effect_stack", "python_stack", "format(verbose)")),
        "`do`", "`Ask`", "`Get`", "`Put`", "`Delay`", "`WaitUntil`", "`GetTime`", "`Await`", "`Gather`", "`Spawn`", "`Wait`",
        "`task.cancel`", "`task.is_done`", "`Safe`", "custom effect type", "`HandlerContext.store`", "`HandlerContext.env`",
        "`HandlerContext.k`", "`HandlerContext.delimited_k`", "`CESKState.with_value`", "forwarding by re-yield", "`__log__`",
        "`__graph__`", "`__current_time__`", "task queue, blocked set, timer wake", "deterministic for pure compute",
        "snapshot semantics", "mocked time handlers",
    ],
    "S004": [
        "`zip_par`", "`race`", "`for_each_par(items, effect_fn, parallelism)`", "`sleep`", "`fail`", "`Failure.error`",
        "`flat_map`", "`map`", "`catch_all`", "`timeout(Duration)`", "`Some`", "`NONE`", "`is_some`", "`is_none`", "`value`",
        "`CircuitBreaker(failure_threshold, timeout_seconds)`", "`CircuitBreaker.call`", "`acquire_release`", "`from_async`",
        "`Queue(maxsize)`", "`put_nowait`", "`get`", "`put`", "`ConnectionPool`", "`ConnectionPool.acquire`",
        "`ConnectionPool.release`", "`ClockLayer`", "retry, schedules",
    ],
}


def rows_of(text):
    """The cells of each row of the table below the heading."""
    table = text[text.index(HEADING):].split("\n\n")[2]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def header_texts(root):
    return {path.name: path.read_text() for path in root.glob("*/include/weft/*.h")}


def complaints_of_row(seed, there, here, where, headers):
    if here == "-":
        if len(where) < 20:
            yield f"{seed} {there}: no counterpart, and no reason"
        return
    named = where.split(", ")
    for header in named:
        if header not in headers:
            yield f"{seed} {there}: there is no header {header}"
    text = "\n".join(headers.get(header, "") for header in named)
    names = re.findall(r"\b(?:weft|WEFT)_\w+", here)
    if not names:
        yield f"{seed} {there}: names nothing of Weft's"
    for name in names:
        if not re.search(rf"\b{name}\b", text):
            yield f"{seed} {there}: {name} is in none of {where}"


def complaints(text, headers):
    rows = rows_of(text)
    for row in rows:
        if len(row) != 4:
            yield f"a row of {len(row)} cells: {row}"
            continue
        yield from complaints_of_row(*row, headers)
    for seed, names in NAMED.items():
        known = [row[1] for row in rows if row[0].strip("| ") == seed]
        for name in names:
            if not any(there == name or there.startswith(name + ",") for there in known):
                yield f"{seed} {name}: has no row"


def main():
    root = Path(sys.argv[1])
    text = (root / "effect/README.md").read_text()
    headers = header_texts(root)
    found = list(complaints(text, headers))
    for true, false in (("`weft_run_sync`", "`weft_run_cync`"), ("| `Ask` |", "| `Task` |"), ("| chan.h |", "| channel.h |")):
        if len(list(complaints(text.replace(true, false), headers))) <= len(found):
            sys.exit(f"identifiers.py does not notice {false}")
    if found:
        sys.exit("\n".join(found))


main()
