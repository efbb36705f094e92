"""Checkpoints of real architectures with random weights, made in a second: tests, benchmarks.

Each has its family's own processor, image tokens and chat template (written as the published ones
order things: LLaVA-OneVision's puts all images of a turn first). The tokenizer is trained on class
names. Answers mean nothing, but depend on every pixel and token.
"""

from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

CHAT = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SPECIAL = {
    "qwen3-vl": [*CHAT, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"],
    "internvl": [*CHAT, "<img>", "</img>", "<IMG_CONTEXT>", "<video>"],
    "llava-onevision": [*CHAT, "<image>", "<video>"],
    "paligemma": ["<pad>", "<eos>", "<bos>", "<image>"],
}
TURN = "{% for m in messages %}<|im_start|>{{ m['role'] }}"
END = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


def in_order(image: str) -> str:
    """A template that leaves the parts of a turn where they are."""
    return (
        TURN + "\n{% for p in m['content'] %}{% if p['type'] == 'image' %}" + image + "{% else %}"
        "{{ p['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}" + END
    )


TEMPLATES = {
    "qwen3-vl": in_order("<|vision_start|><|image_pad|><|vision_end|>"),
    "internvl": in_order("<IMG_CONTEXT>\n"),
    "llava-onevision": TURN
    + " {% for p in m['content'] if p['type'] == 'image' %}<image>{% endfor %}"
    "{% for p in m['content'] if p['type'] == 'text' %}{{ '\n' + p['text'] }}{% endfor %}"
    "<|im_end|>{% endfor %}" + END,
}


def tokenizer(family: str, names: list[str], words: int) -> hf.PreTrainedTokenizerFast:
    """A byte-level BPE of at most ``words`` tokens, trained on names, with special tokens."""
    special = SPECIAL[family]
    vocabulary = Tokenizer(models.BPE())
    vocabulary.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    vocabulary.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=words,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    vocabulary.train_from_iterator(names, trainer)
    more: dict[str, Any] = {}
    if family == "internvl":
        more["extra_special_tokens"] = {
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        }
    if family == "paligemma":
        more |= {"bos_token": "<bos>", "extra_special_tokens": {"image_token": "<image>"}}
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=vocabulary,
        eos_token="<eos>" if family == "paligemma" else "<|im_end|>",
        pad_token=special[0],
        **more,
    )


def make(
    family: str,
    folder: Path,
    names: list[str],
    hidden: int = 48,
    layers: int = 3,
    words: int = 700,
) -> Path:
    """Write a checkpoint of a family; always the same bytes.

    Args:
        family: a key of ``SPECIAL``.
        folder: where to.
        names: what the tokenizer is trained on.
        hidden: size of a token in the text part.
        layers: of the text part.
        words: size of the vocabulary at most.
    """
    torch.manual_seed(0)
    tokens = tokenizer(family, names, words)
    ids = {token: tokens.convert_tokens_to_ids(token) for token in SPECIAL[family]}
    size = len(tokens)
    text = {
        "vocab_size": size + 16,
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": max(16, hidden // 4),
        "max_position_embeddings": 16384,
        "initializer_range": 0.2,
    }
    siglip = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    siglip |= {"num_attention_heads": 2, "patch_size": 14, "image_size": 56}
    square = {"height": 56, "width": 56}
    if family == "qwen3-vl":
        depth = text["head_dim"] // 2
        config = hf.Qwen3VLConfig(
            text_config=text
            | {
                "rope_scaling": {
                    "rope_type": "default",
                    "mrope_section": [depth - 2 * (depth // 3), depth // 3, depth // 3],
                    "mrope_interleaved": True,
                }
            },
            vision_config={
                "depth": 3,
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_heads": 2,
                "out_hidden_size": hidden,
                "patch_size": 16,
                "spatial_merge_size": 2,
                "num_position_embeddings": 64,
                "deepstack_visual_indexes": [0, 1],
            },
            image_token_id=ids["<|image_pad|>"],
            video_token_id=ids["<|video_pad|>"],
            vision_start_token_id=ids["<|vision_start|>"],
            vision_end_token_id=ids["<|vision_end|>"],
        )
        model = hf.Qwen3VLForConditionalGeneration(config)
        limits = {"shortest_edge": 64 * 64, "longest_edge": 192 * 192}
        processor = hf.Qwen3VLProcessor(
            hf.Qwen2VLImageProcessor(patch_size=16, merge_size=2, size=limits),
            tokens,
            hf.Qwen3VLVideoProcessor(),
            chat_template=TEMPLATES[family],
        )
    elif family == "internvl":
        config = hf.InternVLConfig(
            text_config=text | {"model_type": "qwen3"},
            vision_config={
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "patch_size": [14, 14],
                "image_size": [56, 56],
            },
            image_token_id=ids["<IMG_CONTEXT>"],
            downsample_ratio=0.5,
        )
        model = hf.InternVLForConditionalGeneration(config)
        processor = hf.InternVLProcessor(
            hf.GotOcr2ImageProcessor(size=square, crop_to_patches=True, max_patches=4),
            tokens,
            hf.InternVLVideoProcessor(size=square),
            image_seq_length=4,
            chat_template=TEMPLATES[family],
        )
    elif family == "llava-onevision":
        pinpoints = [[56, 56], [56, 112], [112, 56], [112, 112]]
        config = hf.LlavaOnevisionConfig(
            text_config=text | {"model_type": "qwen2"},
            vision_config=siglip | {"model_type": "siglip_vision_model", "vision_use_head": False},
            image_token_id=ids["<image>"],
            video_token_id=ids["<video>"],
            image_grid_pinpoints=pinpoints,
            vision_feature_layer=-1,
            vision_feature_select_strategy="full",
        )
        model = hf.LlavaOnevisionForConditionalGeneration(config)
        processor = hf.LlavaOnevisionProcessor(
            hf.LlavaOnevisionImageProcessor(size=square, image_grid_pinpoints=pinpoints),
            tokens,
            hf.LlavaOnevisionVideoProcessor(size=square),
            chat_template=TEMPLATES[family],
            num_image_tokens=16,
            vision_feature_select_strategy="full",
        )
    else:
        image_processor = hf.SiglipImageProcessor(size=square)
        image_processor.image_seq_length = 16
        processor = hf.PaliGemmaProcessor(image_processor, tokens)
        text["vocab_size"] = len(tokens) + 16
        config = hf.PaliGemmaConfig(
            text_config=text
            | {"model_type": "gemma2", "query_pre_attn_scalar": 16, "sliding_window": 64},
            vision_config=siglip | {"model_type": "siglip_vision_model", "vision_use_head": False},
            image_token_id=ids["<image>"],
            projection_dim=hidden,
            hidden_size=hidden,
        )
        config.text_config.num_image_tokens = 16
        model = hf.PaliGemmaForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokens.eos_token_id
    model.generation_config.pad_token_id = tokens.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
