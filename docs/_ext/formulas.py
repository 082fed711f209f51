"""LaTeX as the converter to MathML reads it."""

import re

# What the converter lacks: sizes of brackets, which the browser chooses itself, dots, and fractions
# of two signs without braces, of which it takes both for the numerator.
INSTEAD = (
    (re.compile(r"\\[bB]igg?[lr]?(?![a-zA-Z])|\\textstyle\b"), ""),
    (re.compile(r"\\dots\b"), r"\\ldots"),
    (re.compile(r"(\\[dt]?frac)\s*(\w)\s*(\w)"), r"\1{\2}{\3}"),
)


def spelt(formula: str) -> str:
    """The formula in commands that the converter knows."""
    for lacking, instead in INSTEAD:
        formula = lacking.sub(instead, formula)
    return formula
