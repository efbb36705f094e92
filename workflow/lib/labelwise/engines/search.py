"""Answers that are always a listed name: constrained decoding and exact class likelihood.

All loops here share the prompts' prefix and refill as ``decode.Greedy`` does, and never compute a
token twice that several names share (``engines.trie``, which has the rules for names and ends):

- ``Constrained``: greedy decoding in which only tokens that lead to a listed name, or that end a
  complete one, can be chosen;
- ``Full``: the log-probability of every name. All nodes of the trie are run as a tree: a token
  attends to the prompt and to the tokens before it in its own name;
- ``BestFirst``: the likeliest names alone. The node that can still lead to the best score is
  expanded next. Log-probabilities are never above 0, so what is behind a node scores at most what
  the node has (its sum; for the mean, its sum spread over the longest name behind it). A name that
  is complete and beats all these bounds is the argmax; going on gives the second, the third.

A name's score is the sum of the log-probabilities of its tokens and its end, or that spread over
its tokens.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import pad

from labelwise.engines import prefix as shared_prefix
from labelwise.engines.decode import Active, Greedy, Row
from labelwise.engines.trie import ROOT, Trie, endings, listed

TOKENS = 512
"""Tokens computed in one pass over whole tries, and rows of logits held at once."""

DIGITS = 4
"""Decimals of a log-probability that is told: beyond, it depends on what is computed with it."""

FOUND = "stop"
"""Finish of every answer: a listed name is complete by construction."""


@dataclass(frozen=True)
class Rule:
    """What is looked for: names as a trie, the tokens that end them, and how names are compared.

    ``texts`` are the names as answered, by the trie's indices; ``top`` likeliest names are told;
    ``mean`` compares means a token instead of sums; ``stop`` has names end with ``ends`` alone,
    and their end counts as a token.
    """

    texts: list[str]
    trie: Trie
    ends: list[int]
    top: int = 1
    mean: bool = False
    stop: bool = False

    def score(self, total: float, tokens: int) -> float:
        """The score of a name, or the bound of a node whose longest name has ``tokens``."""
        return total / (tokens + self.stop) if self.mean else total


def loop(
    header: dict[str, Any],
    names: Sequence[str],
    tokenizer: Any,
    end_tokens: Sequence[int],
    *decoding: Any,
) -> Greedy:
    """The loop that a protocol's kind asks for.

    Args:
        header: of the requests.
        names: class names.
        tokenizer: the model's.
        end_tokens: ids that end an answer.
        decoding: the arguments of ``Greedy``.

    Raises:
        LabelwiseError: names that cannot be completed, or told apart by their tokens.
    """
    if "decoding" not in header:
        return Greedy(*decoding)
    texts = listed(names, header["primer"], header["stop"])
    tokens = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    ends = endings(lambda i: tokenizer.decode([i]), len(tokenizer), end_tokens, header["stop"])
    asked = header["decoding"]
    rule = Rule(
        [text.strip() for text in texts],
        Trie(tokens),
        ends,
        min(asked.get("top", 1), len(texts)),
        asked.get("score") == "mean",
        asked.get("end") == "stop",
    )
    kind = {"constrained": Constrained, "full": Full, "best-first": BestFirst}[asked["by"]]
    return kind(rule, *decoding)


class _Ruled(Greedy):
    """A loop over the names of a rule."""

    def __init__(self, rule: Rule, *decoding: Any) -> None:
        super().__init__(*decoding)
        self.rule, self.trie = rule, rule.trie


class Constrained(_Ruled):
    """Greedy decoding among listed names; a row's ``state`` is its node of the trie."""

    def _read(self, rows: Sequence[Row], logits: torch.Tensor) -> None:
        ends, nodes = self.rule.ends, [ROOT if row.state is None else row.state for row in rows]
        allowed = torch.full_like(logits, -math.inf)
        for index, node in enumerate(nodes):
            tokens = [self.trie.token[child] for child in self.trie.children[node]]
            tokens += ends if self.trie.name[node] >= 0 else []
            allowed[index, tokens] = logits[index, tokens]
        for row, node, token in zip(rows, nodes, allowed.argmax(-1).tolist(), strict=True):
            row.generated += 1
            row.tokens.append(token)
            below = [c for c in self.trie.children[node] if self.trie.token[c] == token]
            row.state = below[0] if below else node

    def _finish(self, row: Row) -> str:
        if len(row.tokens) == self.trie.depth[row.state]:
            return ""
        row.text = self.rule.texts[self.trie.name[row.state]]
        return FOUND


@dataclass
class _Reached:
    """What is known of one row.

    ``total`` is the log-probability of each node's tokens, ``place`` the column of those computed,
    ``ended`` the sums of complete names by node. ``heap`` holds (-bound, node, whether it is the
    complete name) of ``BestFirst``, ``best`` the nodes of its complete names, best first; ``run``
    is the next forest of ``Full``.
    """

    total: dict[int, float] = field(default_factory=lambda: {ROOT: 0.0})
    place: dict[int, int] = field(default_factory=dict)
    ended: dict[int, float] = field(default_factory=dict)
    heap: list[tuple[float, int, bool]] = field(default_factory=list)
    best: list[int] = field(default_factory=list)
    run: int = 0


class _Tree(_Ruled):
    """A loop that computes nodes of the trie for each row.

    Columns of the own keys and values are counted from the start of the loop, so a node's column
    keeps its number while columns are dropped on the left; ``self.columns`` is the next one.
    """

    def __init__(self, rule: Rule, *decoding: Any) -> None:
        super().__init__(rule, *decoding)
        self.columns = 0

    def _read(self, rows: Sequence[Row], logits: torch.Tensor) -> None:
        told = self._told(logits, [ROOT] * len(rows))
        for row, own in zip(rows, told, strict=True):
            row.state = _Reached()
            self._note(row, ROOT, *own)

    def _note(self, row: Row, node: int, end: float, below: Sequence[float]) -> None:
        """Take in what follows a node: log-probability of its end, and of each child."""
        reached = row.state
        total = reached.total[node]
        if self.trie.name[node] >= 0:
            reached.ended[node] = total + end
        for child, more in zip(self.trie.children[node], below, strict=True):
            reached.total[child] = total + more
            if self._free(child):
                reached.ended[child] = total + more

    def _free(self, node: int) -> bool:
        """Whether a node is a name that needs no end: then nothing after it is computed."""
        return not (self.rule.stop or self.trie.children[node])

    def _told(
        self, logits: torch.Tensor, nodes: Sequence[int]
    ) -> Iterator[tuple[float, list[float]]]:
        """Log-probabilities of the end and of the children of each node, from its logits."""
        logits = logits.float()
        whole = logits.logsumexp(-1)
        stops = (logits[:, self.rule.ends].logsumexp(-1) - whole).tolist()
        below = [[self.trie.token[child] for child in self.trie.children[n]] for n in nodes]
        rows = [index for index, tokens in enumerate(below) for _ in tokens]
        tokens = [token for own in below for token in own]
        known = iter((logits[rows, tokens] - whole[rows]).tolist())
        for stop, own in zip(stops, below, strict=True):
            more = [next(known) for _ in own]
            yield stop if self.rule.stop else log_rest(more), more

    @torch.inference_mode()
    def _grow(self, active: Active, nodes: list[Sequence[int]], keep: bool) -> None:
        """Compute nodes, parents before children, and note what follows each of them.

        Args:
            active: the rows.
            nodes: of each row; a parent was computed before and kept, or stands earlier.
            keep: keep their keys and values.
        """
        trie, device = self.trie, active.mask.device
        before, width = active.mask.shape[1], max(map(len, nodes))
        left = self.columns - before
        tokens, depths, seen = [], [], []
        for index, (row, own) in enumerate(zip(active.rows, nodes, strict=True)):
            place = row.state.place
            for at, node in enumerate(own):
                place[node] = self.columns + at
                up = node
                while up != ROOT:
                    seen.append((index, at, place[up] - left))
                    up = trie.parent[up]
            idle = width - len(own)
            tokens.append([trie.token[node] for node in own] + [trie.token[1]] * idle)
            depths.append([row.next_position + trie.depth[node] - 1 for node in own] + [0] * idle)
        attends = pad(active.mask.bool().cpu()[:, None].expand(-1, width, -1), (0, width))
        attends[tuple(zip(*seen, strict=True))] = True
        embeds = self.decoder.table(torch.tensor(tokens, device=device))
        mask = torch.zeros(attends.shape, dtype=embeds.dtype)
        mask = mask.masked_fill_(~attends, torch.finfo(embeds.dtype).min)[:, None].to(device)
        positions = torch.tensor(depths, device=device).expand(active.axes, -1, -1)
        with shared_prefix.shared(self.decoder.body):
            hidden = self.decoder.body(
                inputs_embeds=embeds,
                position_ids=positions[0] if active.axes == 1 else positions,
                attention_mask=mask,
                past_key_values=active.cache,
                use_cache=True,
                prefix=self.prefix,
            ).last_hidden_state
        if keep:
            self.columns += width
            active.mask = pad(active.mask, (0, width))
        else:
            for layer in active.cache.layers:
                layer.keys, layer.values = layer.keys[:, :, :before], layer.values[:, :, :before]
        flat = [(index, at, n) for index, own in enumerate(nodes) for at, n in enumerate(own)]
        for start in range(0, len(flat), TOKENS):
            block = flat[start : start + TOKENS]
            rows, columns, own = zip(*block, strict=True)
            told = self._told(self.decoder.head(hidden[list(rows), list(columns)]), own)
            for (index, _, node), said in zip(block, told, strict=True):
                active.rows[index].generated += 1
                self._note(active.rows[index], node, *said)

    def _tell(self, row: Row, best: Sequence[int], rest: float) -> str:
        """Write the answer: complete names, best first, and the logarithm of all others' sum."""
        rule, reached = self.rule, row.state
        row.tokens, row.text = self._path(best[0]), rule.texts[self.trie.name[best[0]]]
        row.scored = {
            "names": [
                [
                    rule.texts[self.trie.name[node]],
                    round(reached.ended[node], DIGITS),
                    self.trie.depth[node] + self.rule.stop,
                ]
                for node in best
            ],
            "rest": round(rest, DIGITS) if math.isfinite(rest) else None,
        }
        row.state = None
        return FOUND

    def _path(self, node: int) -> list[int]:
        tokens = []
        while node != ROOT:
            tokens.append(self.trie.token[node])
            node = self.trie.parent[node]
        return tokens[::-1]


class Full(_Tree):
    """The score of every name, forest by forest."""

    def _forests(self, rows: int) -> list[list[int]]:
        forests = self.trie.forests(max(1, TOKENS // rows))
        needed = ([node for node in forest if not self._free(node)] for forest in forests)
        return [forest for forest in needed if forest]

    def __init__(self, rule: Rule, *decoding: Any) -> None:
        super().__init__(rule, *decoding)
        self.forests = self._forests(self.tensor_batch)

    def _shrink(self) -> None:
        super()._shrink()
        self.forests = self._forests(self.tensor_batch)

    def _step(self, active: Active) -> None:
        self._grow(active, [self.forests[row.state.run] for row in active.rows], keep=False)
        for row in active.rows:
            row.state.run += 1

    def _finish(self, row: Row) -> str:
        if row.state.run < len(self.forests):
            return ""
        score = {
            node: self.rule.score(total, self.trie.depth[node])
            for node, total in row.state.ended.items()
        }
        ranked = sorted(score, key=lambda node: (-score[node], node))
        best, others = ranked[: self.rule.top], ranked[self.rule.top :]
        return self._tell(row, best, log_sum(score[node] for node in others))


class BestFirst(_Tree):
    """The likeliest names; a step expands as many nodes of a row as names are wanted still."""

    def _note(self, row: Row, node: int, end: float, below: Sequence[float]) -> None:
        super()._note(row, node, end, below)
        reached, rule, trie = row.state, self.rule, self.trie
        if node in reached.ended:
            score = rule.score(reached.ended[node], trie.depth[node])
            heapq.heappush(reached.heap, (-score, node, True))
        for child in trie.children[node]:
            bound = rule.score(reached.total[child], trie.longest[child])
            heapq.heappush(reached.heap, (-bound, child, self._free(child)))

    def _step(self, active: Active) -> None:
        chosen = []
        for row in active.rows:
            heap, wanted = row.state.heap, self.rule.top - len(row.state.best)
            chosen.append([heapq.heappop(heap)[1]])
            while heap and not heap[0][2] and len(chosen[-1]) < wanted:
                chosen[-1].append(heapq.heappop(heap)[1])
        self._grow(active, chosen, keep=True)

    def _finish(self, row: Row) -> str:
        reached = row.state
        while reached.heap and reached.heap[0][2] and len(reached.best) < self.rule.top:
            reached.best.append(heapq.heappop(reached.heap)[1])
        if len(reached.best) < self.rule.top:
            return ""
        rest = log_sum(
            -bound + (math.log(self.trie.names[node]) if self.rule.mean and not end else 0.0)
            for bound, node, end in reached.heap
        )
        return self._tell(row, reached.best, rest)


def log_rest(values: Sequence[float]) -> float:
    """Logarithm of 1 minus the sum of exponentials; that of a rounding error where it is none."""
    return math.log(max(1 - sum(map(math.exp, values)), 1e-9))


def log_sum(values: Any) -> float:
    """Logarithm of the sum of exponentials; -inf of none."""
    values = list(values)
    top = max(values, default=-math.inf)
    if top == -math.inf:
        return top
    return top + math.log(sum(math.exp(value - top) for value in values))
