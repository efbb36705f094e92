"""Sharing a prefix changes nothing: same logits as one plain pass, same greedy answers."""

import pytest
import torch
from labelwise.engines import prefix as shared_prefix
from labelwise.engines.decode import Decoder, Greedy, Inputs, Row, prefill
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

SIZE = {
    "vocab_size": 300,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
}
FAMILIES = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen3": (Qwen3Config, Qwen3ForCausalLM)}


@pytest.fixture(params=FAMILIES)
def model(request):
    config, family = FAMILIES[request.param]
    torch.manual_seed(0)
    return family(config(**SIZE, initializer_range=0.3)).eval()


def decoder(model):
    return Decoder(model.model, model.lm_head)


def embeds(model, tokens):
    return model.get_input_embeddings().weight.detach()[torch.tensor(tokens, dtype=torch.long)]


def draw(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, 300, (count,), generator=generator).tolist()


@torch.inference_mode()
def plain(model, tokens, max_tokens, end):
    """Greedy decoding by whole passes over one prompt."""
    answer = []
    while len(answer) < max_tokens:
        answer.append(int(model(torch.tensor([tokens + answer])).logits[0, -1].argmax()))
        if answer[-1] in end:
            break
    return answer


@pytest.mark.parametrize("length", [1, 60])
def test_logits_equal_those_of_one_plain_pass(model, length):
    before, own = draw(length, 1), [draw(9, seed) for seed in range(4)]
    prefix = prefill(decoder(model), embeds(model, before))
    with torch.inference_mode(), shared_prefix.shared(model.model):
        hidden = model.model(
            inputs_embeds=torch.stack([embeds(model, tokens) for tokens in own]),
            position_ids=torch.arange(9)[None] + length,
            past_key_values=DynamicCache(config=model.config),
            use_cache=True,
            prefix=prefix,
        ).last_hidden_state
        ours = model.lm_head(hidden)
    with torch.inference_mode():
        whole = model(torch.tensor([before + tokens for tokens in own])).logits[:, length:]
    torch.testing.assert_close(ours, whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("tensor_batch", [1, 3, 16])
@pytest.mark.parametrize("length", [0, 40])
def test_answers_equal_those_of_a_plain_loop(model, tensor_batch, length):
    """Rows of different length leave and join at different steps; none may notice."""
    before = draw(length, 1)
    own = {number: draw(2 + number % 7, 10 + number) for number in range(11)}
    limit = {number: 1 + number % 5 for number in own}
    end = set(range(3, 60))
    rows = (Row(n, len(tokens), limit[n], embeds(model, tokens)) for n, tokens in own.items())
    loop = Greedy(
        decoder(model),
        prefill(decoder(model), embeds(model, before)),
        lambda rows: [Inputs(row.source) for row in rows],
        lambda tokens: tokens[-1] in end,
        tensor_batch,
    )
    found = {row.id: (row.tokens, why) for row, why in loop.run(rows)}
    assert set(found) == set(own)
    for number, tokens in own.items():
        expected = plain(model, before + tokens, limit[number], end)
        assert found[number][0] == expected
        assert found[number][1] == ("stop" if expected[-1] in end else "length")
    assert {why for _, why in found.values()} == {"stop", "length"}


def test_the_models_own_attention_is_restored(model):
    before = model.config._attn_implementation
    with shared_prefix.shared(model):
        assert model.config._attn_implementation == shared_prefix.NAME
    assert model.config._attn_implementation == before


def test_out_of_memory_halves_the_tensor_batch_and_changes_no_answer(model):
    own = {number: draw(3 + number % 4, number) for number in range(9)}

    def embed(rows):
        if len(rows) > 2:
            raise torch.OutOfMemoryError
        return [Inputs(row.source) for row in rows]

    def answers(embed, tensor_batch):
        rows = (Row(n, len(t), 4, embeds(model, t)) for n, t in own.items())
        prefix = prefill(decoder(model), embeds(model, draw(20, 1)))
        loop = Greedy(decoder(model), prefix, embed, lambda tokens: False, tensor_batch)
        return {row.id: row.tokens for row, _ in loop.run(rows)}, loop.tensor_batch

    expected, _ = answers(lambda rows: [Inputs(row.source) for row in rows], 1)
    assert answers(embed, 8) == (expected, 2)
