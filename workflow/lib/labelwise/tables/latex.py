"""A table as LaTeX floats (booktabs)."""

from collections.abc import Iterator
from dataclasses import replace

from labelwise.tables import style

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "×": r"$\times$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "’": "'",
    "†": r"\dag{}",
    "\n": " ",
}


def latex(text: str) -> str:
    """Text that LaTeX prints as it is; a letter that pdflatex lacks becomes its code point."""

    def one(letter: str) -> str:
        if letter in LATEX:
            return LATEX[letter]
        printable = " " <= letter <= "~" or "¡" <= letter <= "ÿ"
        return letter if printable else f"[U+{ord(letter):04X}]"

    return "".join(map(one, text))


FLOAT = 27
"""Rows of one float; a page of 9 inches takes so many below a long caption."""

NEEDS = r"% needs \usepackage[T1]{fontenc}, \usepackage{booktabs} and \usepackage{graphicx}"
FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""Scales what follows down to the line where it is wider."""


TEXT = r"@{\hspace{7pt}}l"
"""A column of text; those of numbers end at its left."""


def to_latex(table: style.Table) -> str:
    r"""``table*`` floats to ``\input``: one, or several where the rows need more than a page."""
    label = f"tab:{table.name.replace('_', '-')}"
    caption = rf"\caption{{\textbf{{{latex(table.title)}}} {latex(table.text)}}}\label{{{label}}}"
    lines = [NEEDS, *_open(), caption]
    if table.note:
        lines += [r"\smallskip", rf"\emph{{{latex(table.note)}}}\par"]
    left = FLOAT
    for panel in table.panels:
        for part in _parts(panel):
            if len(part.rows) > left and left < FLOAT:
                lines += [r"\end{table*}", *_open(), rf"Table~\ref{{{label}}}, continued\par"]
                left = FLOAT
            lines += _latex_panel(part)
            left -= len(part.rows)
    return "\n".join([*lines, r"\end{table*}", ""])


def _open() -> list[str]:
    return [r"\begin{table*}", r"\centering\scriptsize\setlength{\tabcolsep}{2.2pt}"]


def _parts(panel: style.Panel) -> Iterator[style.Panel]:
    """The panel in parts of at most ``FLOAT`` rows, cut between groups where that can be."""
    groups: list[tuple[str, list[style.Row]]] = []
    for title, rows in panel.groups:
        for start in range(0, len(rows), FLOAT):
            piece = rows[start : start + FLOAT]
            if groups and sum(len(own) for _, own in groups) + len(piece) > FLOAT:
                yield replace(panel, groups=groups)
                groups = []
            groups.append((f"{title} (continued)" if start else title, piece))
    yield replace(panel, groups=groups)


def _latex_panel(panel: style.Panel) -> list[str]:
    width = len(panel.stubs) + len(panel.columns)
    blank = " & " * (len(panel.stubs) - 1)
    heads = [*map(latex, panel.stubs), *(latex(style.true_minus(c.label)) for c in panel.columns)]
    sizes = [rf"{{\tiny {latex(style.header_n(panel, i))}}}" for i in range(len(panel.columns))]
    sides = "l" * len(panel.stubs)
    sides += "".join(TEXT if column.unit == "text" else "r" for column in panel.columns)
    lines = [
        rf"\medskip{FIT}",
        rf"\begin{{tabular}}{{@{{}}{sides}@{{}}}}",
        rf"\multicolumn{{{width}}}{{@{{}}l@{{}}}}{{{latex(panel.title)}}}\\",
        r"\toprule",
        " & ".join(heads) + r"\\",
        blank + " & " + " & ".join(sizes) + r"\\",
    ]
    for title, rows in panel.groups:
        lines.append(r"\midrule")
        if title:
            lines.append(rf"\multicolumn{{{width}}}{{@{{}}l}}{{\emph{{{latex(title)}}}}}\\")
        for row in rows:
            first = [latex(text) for text, _ in row.stubs]
            second = [rf"{{\tiny {latex(text)}}}" if text else "" for _, text in row.stubs]
            if row.note:
                span = (
                    rf"\multicolumn{{{len(panel.columns)}}}{{l@{{}}}}{{\emph{{{latex(row.note)}}}}}"
                )
                lines.append(" & ".join([*first, span]) + r"\\")
                continue
            for column, own in zip(panel.columns, row.cells, strict=True):
                value = latex(style.number(own, column.unit))
                more = latex(style.extras(own, column.unit))
                first.append(
                    (rf"\textbf{{{value}}}" if own.best else value)
                    + (rf"\,{{\tiny {more}}}" if more else "")
                )
                text = latex(style.interval(own, column.unit))
                second.append(rf"{{\tiny {text}}}" if text else "")
            lines.append(" & ".join(first) + r"\\*[-2pt]")
            lines.append(" & ".join(second) + r"\\")
    return [*lines, r"\bottomrule", r"\end{tabular}}\par"]
