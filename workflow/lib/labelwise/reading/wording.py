"""How answers are worded: wrapping, refusals, options named by letter, and what denies them.

- Harmless wrapping is white space, quotes, asterisks, backquotes and one full stop at the end.
- A letter may have punctuation or words around it ("(B)", "The answer is B."). Two options, or a
  letter beside another option's name, are a ``parse_error``; "A" before a word is an article;
- A letter that is denied is a ``parse_error``, never a choice: a word of denial (``DENIALS``:
  "not", "n't", "neither", "rule out", "wrong"; options' names aside) in the letter's clause, or a
  verdict right after it ("A. Incorrect."). A clause ends at a full stop, an exclamation mark, a
  semicolon, a line's end, ", but", ", so", and at "because" after the letter; not at a comma, a
  colon or a question mark. Only a text that is the bare letter, and a stated answer ("the answer is
  B", "Answer: B") that no denial comes before in its clause, are free of this. Option names are
  never looked for amid words: "not a goldfish" is no answer by name.
"""

import bisect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from labelwise.classnames import normal

Options = Mapping[str, Mapping[str, Any]]
"""The options of a question by letter, each with its ``name``."""

REFUSALS = (
    r"((i'?m|i am|we are|we're) )?(very |so |really )?sorry\b",
    r"(i'?m|i am|we are|we're) (afraid|unable|not able|not sure|not certain|unsure|uncertain)\b",
    r"(i|we) (really |honestly |just |simply )?(do not|don'?t|can ?not|can'?t|could not|couldn'?t|"
    r"won'?t|will not|would not|wouldn'?t)\b",
    r"(as|being) an? (ai|artificial|language model|large language model)\b",
    r"(it is |it'?s )?(impossible|not possible|difficult|hard) to (tell|say|see|determine|identify|"
    r"classify|recogni[sz]e)\b",
    r"(can ?not|can'?t|could not|couldn'?t|unable to|not able to) (be )?(tell|say|see|answer|help|"
    r"assist|provide|determined?|identify|identified|classify|classified|recogni[sz]ed?)\b",
    r"(the|this) (\w+ )?(image|picture|photo|object|subject)"
    r"( in (the|this) (image|picture|photo))? ((is|appears|seems) (too )?(unclear|unknown|"
    r"unidentifiable|not clear|not identifiable|blurry to|dark to|small to)|"
    r"(can ?not|can'?t|could not|couldn'?t) be)\b",
    r"(unknown|unidentified|unidentifiable|unclassifiable|unsure|uncertain|undetermined|"
    r"indeterminate|not sure|no idea|no answer|not applicable|n/?a|none|nothing|null|not found|"
    r"unclear)$",
    r"(unknown|unidentified|unidentifiable) (object|class|image|subject|item)$",
    r"none of (the|these|those|them)\b",
    r"(there is )?no (matching|suitable|applicable|appropriate|such|relevant|clear|identifiable|"
    r"recogni[sz]able) (class|classes|name|label|option|match|object|subject|category)\b",
    r"not (in|on) (the|this) list\b",
)
"""What an abstention starts with (after lower-casing and unwrapping); a ``$`` ends it there."""

DENIALS = (
    r"(?:not|never|neither|nor|none|no|nope|non|nothing|nobody|without|cannot|n't)",
    r"(?:don|doesn|didn|isn|aren|wasn|weren|can|couldn|won|wouldn|shouldn|hasn|haven)t",
    r"(?:rul(?:e|es|ed|ing) (?:it |this |that |them )?out|eliminat\w*|exclu\w*|reject\w*|"
    r"dismiss\w*|discard\w*|discount\w*|except\w*|den(?:y|ies|ied|ying)|doubt\w*|disagree\w*|lacks?|fails?)",
    r"(?:(?:in|un)correct\w*|wrong\w*|mistaken\w*|inaccurate\w*|invalid\w*|false\w*|untrue|"
    r"impossible|improbable|unlikely|implausible|least|worst|hardly|unsuitable|inappropriate)",
    r"(?:(?:rather|other) than|instead of|far from|apart from|aside from|"
    r"(?:anything|everything|any|all|any one|every one) but)",
)
"""Words that deny, lower-cased: a letter in the same clause is not taken for the answer."""

LAYERS = 8
"""At most so many layers of wrapping are taken off."""

NEAR = 200
"""Characters after a letter that can tell whether it is an article: more than the longest name."""

_REFUSAL = re.compile("|".join(f"(?:{pattern})" for pattern in REFUSALS))
_QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "‘": "’", "«": "»", "*": "*", "_": "_"}
_DENIAL = re.compile(
    rf"(?:(?<![a-z0-9])|(?<=[a-z])(?=n't))(?:{'|'.join(DENIALS)})(?![a-z0-9])|≠|!=|~~|¬|[✗✘❌]"
)
_VERDICT = re.compile(
    r"\W*(?:(?:no|nope|wrong|incorrect|false|untrue|impossible|[✗✘❌])(?!\w)"
    r"|not(?=\W*$| (?:it|this|that|so|right|correct|true|possible|likely|sure|"
    r"the (?:right|correct|answer|one))\b)"
    r"|i (?:do not|don't|doubt)\b"
    r"|(?:it|this|that|which)\b(?=.{0,40}\b(?:wrong|incorrect|false|impossible|excluded)\b"
    r"|.{0,40}(?:\bnot|n't|\bcannot)\b.{0,40}"
    r"(?:\b(?:right|correct|true|answer|possible|match\w*|fits?|one)\b|\bit\W*$)))"
)
_CLAUSE_END = re.compile(
    r"\.(?=\s+[^a-z\s]|\s*$)|[!;\n]|,\s*(?:but|(?:and |but )?(?:so|therefore|thus|hence))\b",
)
_REASON = re.compile(r"\b(?:because|since)\b", re.IGNORECASE)
_STATED = re.compile(
    r"\b(?:answer|option|choice|letter)(?P<is> is)?(?P<colon>[\s:=]*)(?:\*\*\s*)?[(\[\"'*]*"
    r"(?P<letter>[a-z])(?=\W*$|[).:,;\]])",
    re.IGNORECASE,
)


def refuses(text: str) -> bool:
    """Whether a text starts by saying that it does not answer."""
    plain = normal(text.replace("’", "'"))
    return any(_REFUSAL.match(form) for form in unwrapped(plain))


def unwrapped(text: str) -> list[str]:
    """The text with no, then ever more of its harmless wrapping taken off."""
    forms: list[str] = []
    text = " ".join(text.split())
    while text not in forms and len(forms) < LAYERS:
        forms.append(text)
        if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
            text = text[1:-1].strip()
        elif text.endswith((".", "!")) and not text.endswith(".."):
            text = text[:-1].rstrip()
    return forms


def says(text: str, name: str) -> bool:
    """Whether a text holds a name as a word of its own; both in the form of ``normal``."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def letters(text: str, options: Options) -> set[str]:
    """Letters of options that a text mentions as letters; of a refusal, those that it states."""
    if letter := _bare(text, options):
        return {letter}
    stated_only = refuses(text)
    return {
        letter for letter, _, how in _mentions(text, options) if how != "said" or not stated_only
    }


def _bare(text: str, options: Options) -> str:
    """The option's letter that a whole text is, or ''."""
    bare = unwrapped(text)[-1].strip("()[]<>{}.,:;!*\"' ").upper()
    return bare if bare in options else ""


def _mentions(text: str, options: Options) -> Iterable[tuple[str, int, str]]:
    """Options' letters in a text, where they stand, and how: said, named ("option B") or stated."""
    for match in _STATED.finditer(text):
        if match["letter"].upper() in options:
            plain = not match["is"] and not match["colon"].strip()
            yield match["letter"].upper(), match.start("letter"), "named" if plain else "stated"
    if (low := re.match(r"^\W*([a-z])[).:\]]", text)) and low[1].upper() in options:
        yield low[1].upper(), low.start(1), "said"
    for match in re.finditer(r"(?<![\w'’])([A-Z])(?![\w'’])", text):
        letter, rest = match[1], text[match.end() : match.end() + NEAR]
        if letter not in options:
            continue
        article = letter in "AI" and re.match(r"[^\S\n]+(?!(or|and|is|because|since|as)\b)\w", rest)
        if not article or normal(rest).startswith(normal(options[letter]["name"])):
            yield letter, match.start(), "said"


def denied(text: str, letter: str, options: Options) -> bool:
    """Whether a clause with this letter denies it, or anything: what it says is not guessed."""
    if _bare(text, options):
        return False
    text = re.sub(r"[’‘ʼ′`]", "'", text).replace("_", " ")
    text = re.sub(r":[*\s]*\n", ": ", text)
    if not _DENIAL.search(text.lower()):
        return False
    named = sorted((o["name"] for o in options.values()), key=len, reverse=True)
    any_name = re.compile("|".join(map(re.escape, named)), re.IGNORECASE)
    own_name = re.compile(r"\W{0,9}" + re.escape(options[letter]["name"]), re.IGNORECASE)
    ends = [(match.start(), match.end()) for match in _CLAUSE_END.finditer(text)]
    starts = [0] + [end for _, end in ends]
    seen = set()
    for found, at, how in _mentions(text, options):
        k = bisect.bisect_right(starts, at) - 1
        if found != letter or k in seen:
            continue
        seen.add(k)
        before = any_name.sub(" ", text[starts[k] : at]).lower()
        name = own_name.match(text, at + 1)
        past = max(at + 1, name.end() if name else 0)
        last = next((e for e in ends[k : k + LAYERS] if e[0] >= past), (len(text), len(text)))
        after = text[at + 1 : last[0]]
        if reason := _REASON.search(after):
            after = after[: reason.start()]
        after = any_name.sub(" ", after).lower()
        following = text[last[1] : last[1] + NEAR].split("\n\n")[0]
        following = re.split(r"[.!;]\s", following.lower())[0]
        if _DENIAL.search(before) or _VERDICT.match(after) or _VERDICT.match(following):
            return True
        if how != "stated" and _DENIAL.search(after):
            return True
    return False
