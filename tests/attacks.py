"""Formulas and queries that try to run, read or write something, or to take all memory, and a witness."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

WRITE = "open('ran', 'w').write('x')"
MAKE = "__import__('os').mkdir('ran')"
FORMULAS = (
    # Calls of what is no function of formulas
    WRITE,
    MAKE,
    f"log(nUMI) + {MAKE}",
    f"log({MAKE})",
    f"offset({MAKE})",
    f"nUMI - {MAKE}",
    "eval('1')",
    'eval("__import__")',
    "exec('import os')",
    "compile('1', 'x', 'exec')",
    "getattr(nUMI, 'x')",
    "globals()",
    "vars()",
    "breakpoint()",
    "input()",
    "__build_class__(nUMI, 'x')",
    "bs(nUMI, df=eval('4'))",
    f"bs(nUMI, df={MAKE})",
    f"C(batch, Treatment({MAKE}))",
    f"C(batch, levels={MAKE})",
    f"poly(nUMI, 2, raw={WRITE})",
    "system('touch ran')",
    "np.save('ran', nUMI)",
    "pd.read_pickle('ran')",
    "log.__call__(nUMI)",
    "I(nUMI.to_csv('ran'))",
    "nUMI.to_csv('ran')",
    "os.system('touch ran')",
    # Attributes, subscripts and calls of a result
    "nUMI.__class__",
    "I(nUMI.__class__.__init__.__globals__['os'].mkdir('ran'))",
    "I(().__class__.__bases__[0].__subclasses__())",
    "I(''.__class__)",
    "I('{0.__class__}'.format(nUMI))",
    "log(nUMI)(nUMI)",
    "I(log)(nUMI)",
    "(eval)('1')",
    "`eval`('1')",
    "'eval'('1')",
    "nUMI[0]",
    "log(nUMI)[0]",
    "__builtins__",
    "__loader__",
    # Other syntax of Python
    f"I((lambda: {MAKE})())",
    "lambda: nUMI",
    f"[{MAKE} for x in (1,)]",
    "{nUMI: 1}",
    f"{{{MAKE}}}",
    "I(x := nUMI)",
    "I(nUMI:=5)",
    "I(nUMI if nUMI else nUMI)",
    "I(*nUMI)",
    "I(**nUMI)",
    "I(nUMI, *batch)",
    "bs(nUMI, _state=nUMI)",
    "bs(nUMI, __class__=4)",
    f"C(batch, 'a' if {MAKE} else 'b')",
    f"f'{{{MAKE}}}'",
    f"log(nUMI) + f'{{{MAKE}}}'",
    "f'{nUMI}'",
    "b'x'",
    "'x' 'y'",
    f"nUMI; {MAKE}",
    f"nUMI\n{MAKE}",
    f"nUMI # {MAKE}",
    f"import os; {MAKE}",
    "nUMI @ nUMI",
    "I(nUMI & 1)",
    "I(~nUMI)",
    "await nUMI",
    "yield nUMI",
    "del nUMI",
    "nUMI = 3",
    "C(batch, 'a\nb')",
    "C(batch, 'a\\x27)",
    # Quotes of other languages
    f"`{MAKE}`",
    "`touch ran`",
    "$(touch ran)",
    "${HOME}",
    "!touch ran",
    "%run x",
    "Q('nUMI')",
    # Characters that look alike, or that end a text elsewhere
    "ｅｖａｌ('1')",
    "ｌog(nUMI)",
    "__ｉmport__('os')",
    "\uff5f__import__('os')\uff60",
    "nUMI\0",
    "log(nUMI\0)",
    "nUMI\u202e + batch",
    "\x1b[2Jlog(nUMI)",
    # Too much of it
    "nUMI + " * 20_000 + "nUMI",
    "|" * 100_000,
    "~" * 100_000,
    "(" * 900 + "nUMI" + ")" * 900,
    "I(" * 300 + "nUMI" + ")" * 300,
    "I(" + "-" * 1_900 + "nUMI)",
    "I(9" + "**9" * 400 + ")",
    "I(nUMI ** 2 ** 9 ** 9 ** 9)",
    "I(1e999 * nUMI)",
    "(nUMI + batch + flag + one + `my cells`)**9",
    "(" * 6 + "nUMI + batch" + ")**9" * 6,
    "(" * 40 + "nUMI + batch" + ")**9" * 40,
    "nUMI" + " * nUMI" * 40,
    "bs(nUMI, df=999999999)",
)
QUERIES = (
    WRITE,
    MAKE,
    f"{MAKE} == 1",
    f"nUMI > {MAKE}",
    "eval('1') == 1",
    "exec('1')",
    "nUMI > int('1')",
    "nUMI.__class__ == 1",
    "nUMI.to_csv('ran') == 1",
    "celltype.str.contains('B')",
    "celltype.str.contains('B') == True",
    "`nUMI`.__class__ == 1",
    "@x > 1",
    "@pd.read_pickle('ran') == 1",
    "@__import__('os').mkdir('ran')",
    "nUMI[0] > 1",
    "nUMI > nUMI[0]",
    "(lambda: 1)() == 1",
    f"[{MAKE} for x in [1]] == 1",
    "nUMI > (1 if nUMI else 2)",
    "nUMI > 1; import os",
    f"nUMI > 1\n{MAKE}",
    f"nUMI > 1 # {MAKE}",
    "x := 3",
    "nUMI := 3",
    "nUMI = 3",
    f"celltype == f'{{{MAKE}}}'",
    "celltype == b'B'",
    "celltype == '''B'''",
    "celltype == 'B' 'T'",
    "celltype in open('ran')",
    "celltype in {'B'}",
    "celltype in [open('ran', 'w')]",
    "celltype in ['B', *nUMI]",
    "index.values > 1",
    "index > 1",
    "nUMI ** 9 ** 9 ** 9 > 1",
    "nUMI + 1 > 2",
    "-nUMI > 2",
    f"`{MAKE}` == 1",
    "$(touch ran) == 1",
    "`touch ran`",
    "%run x",
    "__builtins__ == 1",
    "ｎUMI > 1",
    "nUMI ＞ 1",
    "nUMI > 1\0",
    "nUMI\u202e > 1",
    "(" * 900 + "nUMI > 1" + ")" * 900,
    "not " * 900 + "doublet",
    "nUMI > 1 and " * 9_000 + "nUMI > 1",
    "nUMI > " + "9" * 100_000,
    "nUMI > 1e999",
    "nUMI in [" + "1, " * 9_000 + "]",
)

_EVENTS: list[str] = []
_WATCHING = [False]


def _note(event: str, arguments: tuple[object, ...]) -> None:
    # Whoever runs, reads, writes, imports or talks is reported by Python itself.
    if _WATCHING[0] and event.split(".")[0] in ("compile", "exec", "import", "open", "os", "socket", "subprocess"):
        _EVENTS.append(f"{event} {arguments[:1]}")


sys.addaudithook(_note)


@contextmanager
def witness() -> Iterator[list[str]]:
    """List what Python's own audit reports: code compiled or run, files opened, programs, sockets, imports."""
    _EVENTS.clear()
    _WATCHING[0] = True
    try:
        yield _EVENTS
    finally:
        _WATCHING[0] = False
