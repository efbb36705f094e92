"""Real architectures with random weights: sharing the prefix changes no answer, only the cost."""

import resource
import time
from pathlib import Path

import pytest
import torch
from labelwise import images, progress
from labelwise.asking import prompts
from labelwise.bench import tiny
from labelwise.engines import sight, vision
from labelwise.engines import transformers as engine
from labelwise.engines.base import Question, Run
from labelwise.errors import LabelwiseError
from labelwise.planning.checks import cannot
from labelwise.planning.sources import LIB
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

PHOTOS = LIB.parents[1] / "data/demo/photos"
NAMES = [p.stem.replace("-", " ") for p in sorted(PHOTOS.glob("*.jpg"))]
SHARED = ("qwen3-vl", "internvl", "llava-onevision")
HEADER = {
    "protocol": "closed",
    "kind": "closed",
    "system": "You name what a picture shows with one name of a list: "
    + ", ".join(NAMES * 4)
    + ".",
    "closing": "\nWhich name fits best?",
    "primer": "Name:",
    "schema": None,
    "max_tokens": 6,
    "stop": [],
}


def header(n=1, **changes):
    image = "\nPicture {n}: " if n > 1 else "Here is a picture: "
    return HEADER | {"image": image, "images_per_prompt": n} | changes


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    made = {}

    def make(family):
        if family not in made:
            made[family] = tiny.make(family, tmp_path_factory.mktemp(family), NAMES)
        return made[family]

    torch.set_num_threads(1)
    return make


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Pictures of different sizes and shapes."""
    place = tmp_path_factory.mktemp("photos")
    files = []
    for number, size in enumerate([(96, 64), (64, 96), (130, 70), (60, 60), (200, 50), (64, 64)]):
        noise = torch.randint(
            0, 256, (*size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(number)
        )
        files.append(place / f"{number}.png")
        Image.fromarray(noise.numpy()).save(files[-1])
    return files


def questions(head, photos, n, order=None):
    for number in order or range(len(photos)):
        files = tuple(photos[(number + k) % len(photos)] for k in range(n))
        request = {"request": number, "images": [file.stem for file in files]}
        yield Question(number, prompts.render(head, request), request, files)


def load(folder, head, **spec):
    spec = {"engine": "transformers", "folder": str(folder), "dtype": "float32"} | spec
    return engine.Model(spec, Run(head, NAMES))


def answers(model, asked):
    return {a.id: (a.text, a.finish) for a in model.answer(asked)}


def rendered(family, processor, head, n):
    """The full prompt, built without the engine."""
    parts = []
    for k in range(1, n + 1):
        parts += [{"type": "text", "text": head["image"].replace("{n}", str(k))}, {"type": "image"}]
    parts.append({"type": "text", "text": head["closing"]})
    system = head["system"]
    if family == "paligemma":
        words = [p["text"].strip() for p in parts if p["type"] == "text"]
        return "\n".join([f"<image>{system}", *words, head["primer"]])
    if family == "llava-onevision":
        user = "".join(p.get("text", "<image>") for p in parts)
        text = f"<|im_start|>system \n{system}<|im_end|><|im_start|>user \n{user}<|im_end|>"
        return f"{text}<|im_start|>assistant\n{head['primer']}"
    chat = [
        {"role": "system", "content": [{"type": "text", "text": system}]},
        {"role": "user", "content": parts},
    ]
    text = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return text + head["primer"]


def plain(family, folder, head, asked):
    """What transformers' own loop answers to the whole prompt, one at a time."""
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    found = {}
    for question in asked:
        text = rendered(family, processor, head, len(question.files))
        pictures = [images.read(file) for file in question.files]
        inputs = processor(text=[text], images=[pictures], return_tensors="pt")
        out = model.generate(**inputs, max_new_tokens=head["max_tokens"], do_sample=False)
        tokens = out[0, inputs["input_ids"].shape[1] :]
        ended = int(tokens[-1]) == processor.tokenizer.eos_token_id
        said = processor.tokenizer.decode(tokens, skip_special_tokens=True)
        found[question.id] = (said, "stop" if ended else "length")
    return found


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("family", SHARED)
def test_answers_are_those_of_the_plain_loop(folder, photos, family, n):
    head = header(n)
    expected = plain(family, folder(family), head, questions(head, photos, n))
    assert len(set(expected.values())) > 1, "the pictures make no difference"
    for batch in (1, 4):
        model = load(folder(family), head, prefix="shared", tensor_batch=batch)
        assert answers(model, questions(head, photos, n)) == expected
        said = model.describe()
        assert said["prefix"] == "shared" and said["tensor_batch"] == batch
        assert said["prefix_hit_ratio"] > 0.5
        assert said["images_encoded"] == len(photos) * n
    model = load(folder(family), head, prefix="plain")
    assert answers(model, questions(head, photos, n)) == expected


def harness(folder, family, head, photos, batch):
    """Answers by the loop of an evaluation harness: the processor's chat template, batches padded
    on the left, ``generate``."""
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    for start in range(0, len(photos), batch):
        pictures = [Image.open(file).convert("RGB") for file in photos[start : start + batch]]
        texts = []
        for picture in pictures:
            words = head["closing"]
            user = [{"type": "image", "image": picture}, {"type": "text", "text": words}]
            if family == "llava-onevision":  # as harnesses do where a template moves images
                user = [{"type": "text", "text": f"<image>{words}"}]
            chat = [
                {"role": "system", "content": [{"type": "text", "text": head["system"]}]},
                {"role": "user", "content": user},
            ]
            if family == "paligemma":
                texts.append(f"<image>{head['system']}\n{words.strip()}")
            else:
                texts.append(processor.apply_chat_template(chat, add_generation_prompt=True))
        inputs = processor(
            text=texts,
            images=[[picture] for picture in pictures],
            padding=True,
            padding_side="left",
            return_tensors="pt",
        )
        out = model.generate(
            **inputs,
            do_sample=False,
            num_beams=1,
            max_new_tokens=head["max_tokens"],
            pad_token_id=processor.tokenizer.pad_token_id,
        )
        own = out[:, inputs["input_ids"].shape[1] :]
        found += processor.batch_decode(own, skip_special_tokens=True)
    return found


@pytest.mark.parametrize("family", tiny.SPECIAL)
def test_answers_are_those_of_a_harness(folder, photos, family):
    head = header(image="", primer="", kind="open")
    expected = harness(folder(family), family, head, photos, 4)
    model = load(folder(family), head, tensor_batch=4)
    found = answers(model, questions(head, photos, 1))
    assert [found[n][0] for n in range(len(photos))] == expected
    assert len(set(expected)) > 1 or family == "paligemma"
    assert (model.describe()["prefix"] == "shared") == (family in SHARED)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("family", SHARED)
def test_logits_are_those_of_one_plain_pass(folder, photos, family, n):
    head = header(n)
    asked = list(questions(head, photos, n))
    model = load(folder(family), head, tensor_batch=4)
    rows = [model.row(model.sight.show([question], whole=False)) for question in asked]
    model._warm(asked[0], rows[0])
    ours = model.loop._start(rows).logits
    for mine, question in zip(ours, asked, strict=True):
        text = rendered(family, model.processor, head, n)
        pictures = [images.read(file) for file in question.files]
        inputs = model.processor(text=[text], images=[pictures], return_tensors="pt")
        with torch.inference_mode():
            expected = model.model(**inputs).logits[0, -1]
        torch.testing.assert_close(mine, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", SHARED)
def test_the_class_list_comes_before_the_first_image(folder, family):
    head = header(2)
    model = load(folder(family), head)
    request = {"request": 0, "images": ["a", "b"]}
    before, after = model.sight.chat.pieces(prompts.render(head, request))
    assert head["system"] in before
    assert after.index("Picture 2") > after.index(model.processor.image_token)
    assert before.endswith("Picture 1: ") or "Picture 1: <|vision_start|>".startswith(before[-11:])
    assert after.endswith(head["primer"])


def test_paligemma_is_asked_whole_prompts(folder, photos):
    head = header(kind="open", system="Name the main object.")
    expected = plain("paligemma", folder("paligemma"), head, questions(head, photos, 1))
    for batch in (1, 4):
        model = load(folder("paligemma"), head, tensor_batch=batch)
        assert answers(model, questions(head, photos, 1)) == expected
        assert "prefix-LM" in model.describe()["prefix"]


@pytest.mark.parametrize(
    ("head", "spec", "message"),
    [
        (header(), {}, "closed world"),
        (header(2, kind="open"), {}, "one image"),
        (header(kind="open"), {"max_tiles": 4}, "max_tiles"),
        (header(kind="open"), {"prefix": "shared"}, "prefix-LM"),
        (header(kind="open", schema={}), {}, "schema"),
    ],
)
def test_what_paligemma_cannot_is_refused(folder, photos, head, spec, message):
    with pytest.raises(LabelwiseError, match=message):
        answers(load(folder("paligemma"), head, **spec), questions(head, photos, 1))


@pytest.mark.parametrize("family", SHARED)
def test_answers_depend_on_no_neighbour(folder, photos, family):
    model = load(folder(family), header(), tensor_batch=3)
    forth = answers(model, questions(header(), photos, 1))
    back = answers(model, questions(header(), photos, 1, order=[5, 4, 3, 2, 1, 0]))
    one = answers(model, list(questions(header(), photos, 1))[2:3])
    assert forth == back and one[2] == forth[2]


def test_an_answer_cut_at_the_limit_is_told_and_a_stop_string_ends_one(folder, photos):
    asked = list(questions(header(), photos, 1))
    whole = answers(load(folder("qwen3-vl"), header()), asked)
    assert {finish for _, finish in whole.values()} == {"length"}
    text = whole[0][0]
    stop = text[len(text) // 2]
    ended = answers(load(folder("qwen3-vl"), header(stop=[stop])), asked)
    assert ended[0] == (text[: text.index(stop)], "stop")


def test_an_image_shown_twice_is_encoded_once(folder, photos):
    head = header()
    model = load(folder("qwen3-vl"), head)
    again = (Question(100 + q.id, q.prompt, q.request, q.files) for q in questions(head, photos, 1))
    found = answers(model, [*questions(head, photos, 1), *again])
    assert model.describe()["images_encoded"] == len(photos)
    assert all(found[n] == found[100 + n] for n in range(len(photos)))


def test_resolution_limits_change_what_is_seen_and_are_recorded(folder, photos):
    fine = load(folder("qwen3-vl"), header())
    coarse = load(folder("qwen3-vl"), header(), min_pixels=1024, max_pixels=2048)
    tiled = load(folder("internvl"), header(), max_tiles=1)
    for model in (fine, coarse, tiled):
        answers(model, questions(header(), photos, 1))
    per_image = "prefilled_tokens_per_image"
    assert coarse.describe()[per_image] < fine.describe()[per_image]
    size = {"shortest_edge": 1024, "longest_edge": 2048}
    assert coarse.describe()["images"]["size"] == size
    assert tiled.describe()["images"]["max_patches"] == 1


def test_low_precision_runs(folder, photos):
    model = load(folder("qwen3-vl"), header(), dtype="bfloat16")
    assert len(answers(model, questions(header(), photos, 1))) == len(photos)
    assert model.describe()["dtype"] == "bfloat16"


def test_a_sharing_that_changes_logits_is_switched_off(folder, photos, monkeypatch):
    expected = answers(load(folder("qwen3-vl"), header()), questions(header(), photos, 1))
    real = engine.prefill

    def wrong(decoder, embeds):
        return real(decoder, embeds.flip(0))

    monkeypatch.setattr(engine, "prefill", wrong)
    model = load(folder("qwen3-vl"), header())
    assert answers(model, questions(header(), photos, 1)) == expected
    assert model.describe()["prefix"] == "plain: a shared prefix changed its logits"


@pytest.mark.parametrize("threads", [1, 3])
def test_few_images_are_read_ahead(folder, photos, monkeypatch, threads):
    asked = [0]

    def endless():
        request = {"request": 0, "images": ["x"]}
        while True:
            asked[0] += 1
            yield Question(
                asked[0], prompts.render(header(), request), request, (photos[asked[0] % 6],)
            )

    monkeypatch.setattr(sight, "spare", lambda: threads - 1)
    model = load(folder("qwen3-vl"), header(), tensor_batch=2)
    stream = model.answer(endless())
    for _ in range(5):
        next(stream)
    stream.close()
    assert model.workers == threads - 1
    assert asked[0] <= 5 + model.loop.window + sight.AHEAD * model.workers + 2


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(folder, photos, monkeypatch):
    """After its caches are full (here 1 MB), a long run takes no more memory."""

    def megabytes():
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20

    def asked():
        for number in range(6000):
            # another path is another image to the engine
            photo = photos[number % 6]
            file = f"{photo.parent}/{'./' * (number // 6)}{photo.name}"
            request = {"request": number, "images": ["x"]}
            yield Question(number, prompts.render(header(), request), request, (file,))

    monkeypatch.setattr(vision, "KEPT", 1 << 20)
    model = load(folder("qwen3-vl"), header(max_tokens=2), tensor_batch=16)
    early = 0.0
    for count, _ in enumerate(model.answer(asked()), 1):
        if count == 1000:
            early = megabytes()
    assert count == model.vision.encoded == 6000
    assert model.vision.kept_bytes <= 1 << 20
    assert megabytes() - early < 40


def test_a_folder_without_model_is_one_message(tmp_path):
    with pytest.raises(LabelwiseError, match="safetensors"):
        load(tmp_path, header())


def test_a_model_that_is_not_on_disk_is_one_message(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    spec = {"hf": "no/such-model", "revision": "0" * 40, "dtype": "float32"}
    with pytest.raises(LabelwiseError, match=r"no/such-model at revision 0{40}.*hf download"):
        engine.Model(spec, Run(header(), []))


def test_the_tensor_batch_follows_free_memory():
    config = tiny.hf.Qwen3Config()
    fits = [engine.rows_that_fit(free, config, 3500, 240, 2) for free in (1, 1e10, 1e11)]
    assert fits[0] == 1 < fits[1] < fits[2]


@pytest.mark.parametrize(
    ("entry", "kind", "n", "message"),
    [
        ({"hf": "google/paligemma2-3b-mix-448"}, "closed", 1, "context"),
        ({"hf": "google/paligemma2-3b-mix-448"}, "open", 10, "1 image a prompt"),
        ({"hf": "google/paligemma2-3b-mix-448"}, "open", 1, ""),
        ({"hf": "Qwen/Qwen3-VL-8B-Instruct"}, "closed", 50, ""),
        ({"hf": "Qwen/Qwen3-VL-8B-Instruct", "max_images": 20}, "closed", 50, "20 images a prompt"),
    ],
)
def test_what_a_model_cannot_is_known_before_it_is_loaded(entry, kind, n, message):
    found = cannot(entry | {"engine": "transformers"}, kind, n)
    assert (message in found) if message else (found == "")


def test_a_local_paligemma_is_known_by_its_config(folder):
    entry = {"engine": "transformers", "folder": str(folder("paligemma"))}
    assert "context" in cannot(entry, "closed", 1)


def test_the_line_of_progress_tells_the_state(monkeypatch, capsys, folder, photos):
    monkeypatch.setattr(progress, "FIRST", 0.02)
    monkeypatch.setattr(progress, "HEARTBEAT", 0.02)
    model = load(folder("qwen3-vl"), header(2), tensor_batch=2)
    found = model.answer(questions(header(2), photos, 2))

    def slowly():
        time.sleep(0.2)
        yield from found
        time.sleep(0.2)

    list(progress.progress(slowly(), 12, "closed", model.note, lambda answer: 2))
    lines = [n for n in capsys.readouterr().err.splitlines() if n.startswith("closed")]
    assert lines[0].startswith("closed: 0/12, 0.0/s, ")
    assert lines[-1].startswith("closed: 12/12, ") and "/s, 0:00 min left, " in lines[-1]
    assert lines[-1].endswith("% of prompts shared, tensor batch 2")
    told = len(lines)
    time.sleep(0.1)
    assert not capsys.readouterr().err and told < 60, "it ends with the job"


def test_plain_batches_are_halved_when_memory_runs_out(folder, photos, monkeypatch):
    head = header()
    expected = answers(load(folder("qwen3-vl"), head, prefix="plain"), questions(head, photos, 1))
    model = load(folder("qwen3-vl"), head, prefix="plain", tensor_batch=6)
    real, sizes = model.model.generate, []

    def small(**inputs):
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError
        return real(**inputs)

    monkeypatch.setattr(model.model, "generate", small)
    assert answers(model, questions(head, photos, 1)) == expected
    assert sizes == [6, 3, 1, 1, 1, 1, 1, 1] and model.tensor_batch == 1

    def none(**inputs):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(model.model, "generate", none)
    with pytest.raises(LabelwiseError, match="out of memory with one prompt at a time"):
        answers(model, questions(head, photos, 1))
