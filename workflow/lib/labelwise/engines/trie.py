"""The class names as token sequences in one tree, and what ends a name (stdlib only).

Stated rules, on which exact likelihood and constrained decoding rest:

- a name is asked once, as the prompt lists it: a name that several classes bear ("missile") is one
  entry and denotes all of them;
- a name is the tokens that the model's own tokenizer makes of it, behind a space where the prompt
  starts the answer (``Name:``). Other ways to cut the same text into tokens are not counted;
- a name that begins another ("bow", "bow tie") has to end to be an answer, so that it is not
  favoured for being shorter. ``end: free``: it ends where anything follows that leads to no longer
  listed name; its end has the probability of all that, and 1 where no longer name is listed.
  ``end: stop``: it ends with a token that ends the answer in greedy decoding, too: an end token of
  the model, or one whose text begins with a stop string of the protocol. Constrained decoding ends
  so as well.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from labelwise.classnames import Names
from labelwise.errors import LabelwiseError

ROOT = 0


class Trie:
    """A tree of token sequences; its nodes are numbered depth first, whatever the names' order.

    Attributes, each by node: ``token``, ``parent``, ``depth`` (the root, node 0, has 0),
    ``children`` (nodes, ascending), ``name`` (index of the name that is complete here, else -1),
    ``names`` (how many are complete here or below) and ``longest`` (tokens of the longest of them).
    """

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        self.token, self.parent, self.depth = [-1], [-1], [0]
        self.children: list[list[int]] = [[]]
        self.name = [-1]
        path = [ROOT]
        order = sorted(range(len(sequences)), key=lambda index: tuple(sequences[index]))
        for index in order:
            tokens = sequences[index]
            if not tokens:
                raise LabelwiseError("a class name has no tokens; the model cannot be asked for it")
            same = 0
            while same < min(len(tokens), len(path) - 1):
                if self.token[path[same + 1]] != tokens[same]:
                    break
                same += 1
            del path[same + 1 :]
            for token in tokens[same:]:
                node = len(self.token)
                self.children[path[-1]].append(node)
                self.token.append(token)
                self.parent.append(path[-1])
                self.depth.append(len(path))
                self.children.append([])
                self.name.append(-1)
                path.append(node)
            if self.name[path[-1]] >= 0:
                raise LabelwiseError(
                    f"class names {self.name[path[-1]] + 1} and {index + 1} of the list are the"
                    " same tokens; the model cannot tell them apart"
                )
            self.name[path[-1]] = index
        self.names = [int(index >= 0) for index in self.name]
        self.longest = [depth if n else 0 for depth, n in zip(self.depth, self.names, strict=True)]
        for node in range(len(self) - 1, ROOT, -1):
            above = self.parent[node]
            self.names[above] += self.names[node]
            self.longest[above] = max(self.longest[above], self.longest[node])

    def __len__(self) -> int:
        """Nodes, the root included."""
        return len(self.token)

    def forests(self, size: int) -> list[range]:
        """All nodes but the root, in runs of whole branches of at most ``size`` nodes if they can.

        A branch is what hangs on one first token; no node of a run needs one of another run.
        """
        starts = [*self.children[ROOT], len(self)]
        found, first = [], starts[0]
        for here, after in pairwise(starts):
            if after - first > size and here > first:
                found.append(range(first, here))
                first = here
        return [*found, range(first, len(self))] if len(self) > 1 else []


def listed(names: Sequence[str], primer: str, stop: Sequence[str]) -> list[str]:
    """Each different name once, as the text that follows the prompt.

    Raises:
        LabelwiseError: a stop string occurs in a name.
    """
    lead = " " if primer and not primer[-1].isspace() else ""
    found = [lead + name for name, _ in Names(names).distinct()]
    for text in found:
        for end in stop:
            if end in text:
                raise LabelwiseError(
                    f"protocols: stop: {end!r} is in the class name {text.strip()!r}, which could"
                    " never be completed; take it out of stop"
                )
    return found


def endings(
    decode: Callable[[int], str], size: int, ends: Iterable[int], stop: Sequence[str]
) -> list[int]:
    """Token ids that end an answer, ascending.

    Args:
        decode: text of one token.
        size: number of tokens.
        ends: the model's own end tokens.
        stop: the protocol's stop strings.
    """
    found = set(ends)
    if stop:
        found |= {token for token in range(size) if decode(token).startswith(tuple(stop))}
    return sorted(found)
