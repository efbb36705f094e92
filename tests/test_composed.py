"""The composed model: it answers by writing, from what the classifier sees, in any tensor batch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from labelwise.asking import prompts
from labelwise.engines.base import Question, Run
from labelwise.errors import LabelwiseError
from labelwise.planning.sources import LIB
from support import ready

PHOTOS = LIB.parents[1] / "data/demo/photos"
HEADER = {
    "protocol": "open",
    "kind": "open",
    "answer": "name",
    "format": "plain",
    "classes": "curated",
    "system": "You name the main object of a picture, as precisely as you can.",
    "image": "Here is a picture: ",
    "closing": "\nWhat is the main object in this picture?",
    "primer": "The picture shows a",
    "schema": None,
    "max_tokens": 8,
    "stop": ["\n", ".", ","],
    "images_per_prompt": 1,
    "order": "",
}
KNOWN = {
    "cheetah": "cheetah",
    "koala-perth-zoo": "koala",
    "taj-mahal": "mosque",
    "red-panda": "panda",
}


@pytest.fixture(scope="module")
def spec():
    for name in ("efficientnet-lite2", "smollm2-135m-instruct"):
        ready(name)
    return {
        "engine": "composed",
        "vision": "efficientnet-lite2",
        "language": "smollm2-135m-instruct",
    }


def questions(requests, header):
    for request in requests:
        prompt = prompts.render(header, request)
        files = tuple(PHOTOS / f"{image}.jpg" for image in request["images"])
        yield Question(request["request"], prompt, request, files)


def answers(spec, requests, header=HEADER):
    from labelwise.infer import load

    model = load(spec, Run(header, []))
    assert "tensor batch" in model.note(), "the line of progress comes before the first answer"
    return model, {answer.id: answer for answer in model.answer(questions(requests, header))}


def asked(*images):
    return [{"request": n, "repeat": 0, "images": [image]} for n, image in enumerate(images)]


def test_it_says_what_the_pictures_show_in_any_tensor_batch(spec):
    images = [image for image in KNOWN if (PHOTOS / f"{image}.jpg").is_file()]
    assert len(images) >= 3
    model, found = answers(spec | {"tensor_batch": 3}, asked(*images))
    for number, image in enumerate(images):
        assert KNOWN[image] in found[number].text.lower()
    _, alone = answers(spec | {"tensor_batch": 1}, asked(*images))
    assert {n: a.text for n, a in alone.items()} == {n: a.text for n, a in found.items()}
    assert model.describe()["images_encoded"] == len(images)


def test_an_image_asked_about_again_is_encoded_once(spec):
    model, found = answers(spec, asked("cheetah", "cheetah", "cheetah"))
    assert len({answer.text for answer in found.values()}) == 1
    assert model.describe()["images_encoded"] == 1


def test_an_image_may_be_fewer_tokens(spec):
    _, four = answers(spec, asked("cheetah"))
    _, two = answers(spec | {"visual_tokens": 2}, asked("cheetah"))
    assert four[0].usage["prefilled"] - two[0].usage["prefilled"] == 2


def test_another_run_on_the_same_images_needs_no_classifier(spec, tmp_path, monkeypatch):
    from labelwise.engines import composed

    requests = asked("cheetah", "taj-mahal")

    def told(**changes):
        run = Run(HEADER, [], cache=tmp_path / "looks")
        model = composed.Model(spec | changes, run)
        return {a.id: a.text for a in model.answer(questions(requests, HEADER))}, model

    first, model = told()
    assert model.describe()["images_encoded"] == 2
    monkeypatch.setattr(composed, "Classifier", None)  # loading it would fail
    again, model = told(top=3)
    assert again == first and model.describe()["images_encoded"] == 0


def test_two_images_with_one_prompt_do_not_mix(spec):
    _, one = answers(spec, asked("cheetah", "taj-mahal"))
    _, other = answers(spec, asked("taj-mahal", "cheetah"))
    assert one[0].text == other[1].text != one[1].text == other[0].text


def test_the_prefix_is_computed_once_and_the_rest_is_short(spec):
    _, found = answers(spec, asked("cheetah", "taj-mahal"))
    usage = found[0].usage
    assert usage["shared"] > 20
    assert usage["prefilled"] <= 4 + len(HEADER["closing"].split()) + 16


def test_prompts_computed_otherwise_say_the_same(spec):
    images = ["cheetah", "koala-perth-zoo", "taj-mahal"]
    _, base = answers(spec, asked(*images))
    for numerics in ({"prefix": "plain"}, {"decoding": "generate"}, {"tensor_batch": 1}):
        model, found = answers(spec | {"numerics": numerics}, asked(*images))
        assert {n: (a.text, a.finish) for n, a in found.items()} == {
            n: (a.text, a.finish) for n, a in base.items()
        }, numerics
        facts = model.describe()
        assert facts["prefix"] == ("shared" if "tensor_batch" in numerics else "plain")
        assert (facts["prefix_hit_ratio"] > 0.3) == ("tensor_batch" in numerics)
    model, found = answers(spec | {"numerics": {"dtype": "bfloat16"}}, asked("cheetah"))
    assert "cheetah" in found[0].text.lower() and model.describe()["dtype"] == "bfloat16"


def test_prompts_that_begin_differently_are_answered_as_if_alone(spec):
    requests = asked("cheetah", "taj-mahal")
    requests[1]["system"] = "You say in one word what a picture shows."
    _, both = answers(spec, requests, HEADER | {"shared": False})
    _, alone = answers(spec, asked("cheetah"))
    _, other = answers(spec, [requests[1]], HEADER | {"system": requests[1]["system"]})
    assert both[0].text == alone[0].text and both[1].text == other[1].text


def test_a_list_beyond_its_context_is_refused_before_anything_is_computed(spec):
    many = ", ".join(f"kind {i} of bird" for i in range(2000))
    header = HEADER | {"kind": "closed", "protocol": "closed", "system": many}
    with pytest.raises(LabelwiseError, match=r"closed: .* the model takes 8192; the class list is"):
        answers(spec, asked("cheetah"), header)


def run(folder, spec, images, model_is_there=True):
    """The stage as the workflow calls it; returns what it says."""
    folder.mkdir(exist_ok=True)
    lines = [HEADER, *asked(*images)]
    (folder / "requests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = [f"{i},{PHOTOS / f'{i}.jpg'},{n:064x},1,1,1,ok" for n, i in enumerate(images)]
    columns = "image,file,sha256,bytes,width,height,status"
    (folder / "images.csv").write_text("\n".join([columns, *rows]) + "\n")
    (folder / "classes.csv").write_text("class,name\n0,tench\n")
    command = [sys.executable, "-m", "labelwise.infer", "requests.jsonl", "--images", "images.csv"]
    command += ["--classes", "classes.csv", "--model", json.dumps(spec), "--journal", "journal"]
    command += ["--out", "responses.jsonl", "--meta", "meta.json"]
    env = {"PYTHONPATH": str(LIB), "PATH": "/usr/bin:/bin"}
    if not model_is_there:
        env["LABELWISE_CACHE"] = str(folder / "nothing")
    else:
        env["HOME"] = str(Path.home())
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def test_known_answers_need_no_model(spec, tmp_path):
    images = ["cheetah", "taj-mahal"]
    done = run(tmp_path / "a", spec, images)
    assert done.returncode == 0, done.stderr
    assert "asked 2, replayed 0" in done.stderr
    before = (tmp_path / "a/responses.jsonl").read_bytes()
    done = run(tmp_path / "a", spec, images, model_is_there=False)
    assert done.returncode == 0, done.stderr
    assert "asked 0, replayed 2" in done.stderr
    assert (tmp_path / "a/responses.jsonl").read_bytes() == before
    done = run(tmp_path / "a", spec | {"top": 5}, images, model_is_there=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: weights")
