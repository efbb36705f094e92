"""What the search over classes knows: names, synonyms, definitions, and example images.

Synonyms and definitions of ImageNet's classes are WordNet's, as the timm package ships them. An
example of a class is an image on which the original and the corrected labels agree that it shows
this class alone, and which is no case of the annotation: so an example says nothing about a case.
"""

import importlib.util
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from labelwise import draw
from labelwise.annotation.cases import ClassInfo
from labelwise.data.label_formats import wnids
from labelwise.labels import Labels

EXAMPLES = 3
"""Most example images of a class."""


def wordnet(wanted: Container[str]) -> dict[str, tuple[str, str]]:
    """Synonyms and definition of each wanted wnid that timm knows; nothing where timm is absent."""
    package = importlib.util.find_spec("timm")
    if package is None or not package.submodule_search_locations:
        return {}
    folder = Path(package.submodule_search_locations[0]) / "data" / "_info"
    texts: list[dict[str, str]] = []
    for name in ("imagenet_synset_to_lemma.txt", "imagenet_synset_to_definition.txt"):
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        pairs = (line.split("\t", 1) for line in lines)
        texts.append({wnid: text for wnid, text in pairs if wnid in wanted})
    return {wnid: (texts[0].get(wnid, ""), texts[1].get(wnid, "")) for wnid in texts[1]}


def describe(
    names: Sequence[str],
    files: Mapping[str, str],
    cases: Container[str],
    original: Labels,
    corrected: Labels,
    seed: int,
) -> list[ClassInfo]:
    """Every class, by id.

    Args:
        names: class names by id; WordNet's texts are added where they are ImageNet-1k's thousand.
        files: file of each image of the image set.
        cases: images that are cases, of which none is an example.
        original: the original labels.
        corrected: the corrected labels.
        seed: of the choice among examples.
    """
    texts: dict[int, tuple[str, str]] = {}
    if len(names) == 1000:
        ids = wnids()
        texts = {ids[wnid]: text for wnid, text in wordnet(ids).items()}
    examples: dict[int, list[str]] = {}
    for image in sorted(files, key=lambda image: draw.key(seed, "example", image)):
        label = corrected.get(image)
        if image in cases or label is None or label.uncertain or len(label.ids) != 1:
            continue
        if image in original and original[image].ids == label.ids:
            examples.setdefault(label.ids[0], []).append(files[image])
    return [
        ClassInfo(name, *texts.get(i, ("", "")), tuple(examples.get(i, ())[:EXAMPLES]))
        for i, name in enumerate(names)
    ]
