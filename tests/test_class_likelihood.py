"""Searching the trie of names finds what asking for each name by itself finds."""

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from labelwise.engines.decode import Decoder, Inputs, Row, prefill
from labelwise.engines.search import BestFirst, Constrained, Full, Rule
from labelwise.engines.trie import ROOT, Trie, endings, listed
from labelwise.errors import LabelwiseError
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

SIZE = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
}
FAMILIES = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen3": (Qwen3Config, Qwen3ForCausalLM)}
ENDS = [0, 1, 2]
PREFIX = [7, 8, 9, 10, 11, 12]


def make(family, seed):
    torch.manual_seed(seed)
    config, model = FAMILIES[family]
    return model(config(**SIZE, initializer_range=0.4)).eval()


def draw_names(seed, count=40):
    """Names of 1 to 5 tokens of a few words, so that many share tokens or begin another one."""
    draw, found = random.Random(seed), set()
    while len(found) < count:
        found.add(tuple(draw.randint(3, 14) for _ in range(draw.randint(1, 5))))
    names = sorted(found)
    assert any(b[: len(a)] == a for a in names for b in names if a != b)
    draw.shuffle(names)
    return names


@torch.inference_mode()
def brute(model, prompt, name, names, stop):
    """The log-probability of a name and its end, from one plain pass over prompt and name."""
    whole = model(torch.tensor([[*PREFIX, *prompt, *name]])).logits[0].log_softmax(-1)
    at = len(PREFIX) + len(prompt) - 1
    steps = [whole[at + n, token].item() for n, token in enumerate(name)]
    if stop:
        return sum(steps) + whole[at + len(name), ENDS].logsumexp(-1).item()
    on = {n[len(name)] for n in names if n[: len(name)] == name and len(n) > len(name)}
    off = [token for token in range(SIZE["vocab_size"]) if token not in on]
    return sum(steps) + whole[at + len(name), off].logsumexp(-1).item()


def run(kind, model, prompts, names, tensor_batch=3, **more):
    table = model.get_input_embeddings().weight.detach()
    decoder = Decoder(model.model, model.lm_head)
    rows = [Row(n, len(p), 9, table[torch.tensor(p)]) for n, p in enumerate(prompts)]
    rule = Rule([str(n) for n in range(len(names))], Trie(names), ENDS, **more)
    loop = kind(
        rule,
        decoder,
        prefill(decoder, table[torch.tensor(PREFIX)]),
        lambda rows: [Inputs(row.source) for row in rows],
        None,
        tensor_batch,
    )
    return {row.id: row for row, finish in loop.run(rows) if finish == "stop"}


def draw_prompts(seed, count=5):
    draw = random.Random(f"prompts {seed}")
    return [[draw.randint(3, 59) for _ in range(draw.randint(1, 6))] for _ in range(count)]


@pytest.mark.parametrize("stop", [False, True])
@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("family", FAMILIES)
def test_full_and_best_first_equal_brute_force(family, seed, mean, stop):
    model, names, prompts = make(family, seed), draw_names(seed), draw_prompts(seed)
    rule = {"mean": mean, "stop": stop}
    whole = run(Full, model, prompts, names, top=len(names), **rule)
    first = run(BestFirst, model, prompts, names, top=4, **rule)
    fewest = run(BestFirst, model, prompts, names, **rule)
    trie = Trie(names)
    nodes = sum(stop or bool(trie.children[node]) for node in range(1, len(trie)))
    for number, prompt in enumerate(prompts):
        total = {str(n): brute(model, prompt, o, names, stop) for n, o in enumerate(names)}
        length = {str(n): len(name) + stop for n, name in enumerate(names)}
        score = {n: t / length[n] if mean else t for n, t in total.items()}
        ranked = sorted(score, key=lambda n: -score[n])
        told = whole[number].scored
        assert told["rest"] is None and whole[number].generated == nodes
        for name, found, tokens in told["names"]:
            assert tokens == length[name]
            assert found == pytest.approx(total[name], abs=2e-4)
        assert [name for name, *_ in told["names"]] == ranked
        told = first[number].scored
        assert [name for name, *_ in told["names"]] == ranked[:4]
        assert told["names"] == [
            [name, pytest.approx(total[name], abs=2e-4), length[name]] for name in ranked[:4]
        ]
        others = math.log(sum(math.exp(score[n]) for n in ranked[4:]))
        assert told["rest"] >= others - 1e-4, "the bound on all other names is no bound"
        assert first[number].tokens == list(names[int(ranked[0])])
        assert fewest[number].scored["names"][0][0] == ranked[0]
        assert fewest[number].generated <= first[number].generated


@pytest.mark.parametrize("kind", [Full, BestFirst, Constrained])
def test_the_order_of_names_and_the_tensor_batch_change_nothing(kind):
    model, names, prompts = make("qwen3", 5), draw_names(5), draw_prompts(5, 7)
    expected = run(kind, model, prompts, names, 1)
    shuffled = random.Random(1).sample(names, len(names))
    for other, batch in ((shuffled, 1), (names, 4), (shuffled, 16)):
        found = run(kind, model, prompts, other, batch)
        for number in range(len(prompts)):
            assert found[number].tokens == expected[number].tokens
            if kind is not Constrained:
                assert found[number].generated == expected[number].generated
                (_, a, _), (_, b, _) = (
                    side[number].scored["names"][0] for side in (found, expected)
                )
                assert a == pytest.approx(b, abs=2e-4)


@pytest.mark.parametrize("seed", range(4))
def test_constrained_is_greedy_decoding_among_allowed_tokens(seed):
    model, names, prompts = make("llama", seed), draw_names(seed), draw_prompts(seed)
    found = run(Constrained, model, prompts, names, 2)
    for number, prompt in enumerate(prompts):
        begun = len(PREFIX) + len(prompt)

        def allowed(_, ids, begun=begun):
            said = tuple(ids[begun:].tolist())
            after = {n[len(said)] for n in names if n[: len(said)] == said and len(n) > len(said)}
            return sorted(after | (set(ENDS) if said in names else set()))

        out = model.generate(
            torch.tensor([[*PREFIX, *prompt]]),
            max_new_tokens=9,
            do_sample=False,
            eos_token_id=ENDS,
            pad_token_id=0,
            prefix_allowed_tokens_fn=allowed,
        )
        assert found[number].tokens == out[0, begun:].tolist()
        assert tuple(found[number].tokens[:-1]) in names


def test_best_first_computes_few_tokens_of_a_decided_model():
    """A head that is sure of itself: the search goes straight to the name."""
    model, names, prompts = make("llama", 2), draw_names(2, 200), draw_prompts(2)
    model.lm_head.weight.data *= 6
    found = run(BestFirst, model, prompts, names)
    whole = run(Full, model, prompts, names)
    for number in found:
        assert found[number].scored["names"] == [
            [name, pytest.approx(score, abs=1e-3), tokens]
            for name, score, tokens in whole[number].scored["names"]
        ]
        assert found[number].generated < 0.2 * whole[number].generated


names_of = st.lists(
    st.lists(st.integers(3, 6), min_size=1, max_size=4).map(tuple), min_size=1, unique=True
)


@given(names_of, st.randoms(), st.integers(1, 9))
@settings(deadline=None)
def test_a_trie_holds_each_name_once_and_forests_are_whole(names, draw, size):
    shuffled = draw.sample(names, len(names))
    trie, other = Trie(names), Trie(shuffled)
    assert (trie.token, trie.parent, trie.children) == (other.token, other.parent, other.children)

    def path(node):
        return () if node == ROOT else (*path(trie.parent[node]), trie.token[node])

    complete = {trie.name[n]: path(n) for n in range(len(trie)) if trie.name[n] >= 0}
    assert complete == dict(enumerate(names))
    assert trie.names[ROOT] == len(names) and trie.longest[ROOT] == max(map(len, names))
    prefixes = {name[:n] for name in names for n in range(1, len(name) + 1)}
    assert len(trie) == 1 + len(prefixes)
    forests = trie.forests(size)
    assert [node for forest in forests for node in forest] == list(range(1, len(trie)))
    for forest in forests:
        assert all(trie.parent[n] == ROOT or trie.parent[n] in forest for n in forest)
        assert len(forest) <= size or sum(trie.parent[n] == ROOT for n in forest) == 1


def test_rules_of_names():
    names = ["missile", "bow", "missile", "bow tie"]
    assert listed(names, "Name:", ["\n"]) == [" missile", " bow", " bow tie"]
    assert listed(names, "", []) == listed(names, "Name: ", []) == ["missile", "bow", "bow tie"]
    with pytest.raises(LabelwiseError, match="'e t' is in the class name 'the tie'"):
        listed(["the tie"], "", ["e t"])
    with pytest.raises(LabelwiseError, match="same tokens"):
        Trie([(1, 2), (3,), (1, 2)])
    words = ["a", "\n", " ", "\nb", "<end>", "a\n"]
    assert endings(words.__getitem__, len(words), [4], ["\n"]) == [1, 3, 4]
    assert endings(words.__getitem__, len(words), [4], []) == [4]
