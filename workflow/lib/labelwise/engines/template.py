"""Prompts as text, by a model's own chat template."""

from typing import Any

from labelwise.asking.prompts import Prompt
from labelwise.errors import LabelwiseError

MARK = "\ue000"
"""Stands for an image while the template is applied (private use: in no text)."""


class Chat:
    """Prompts as text, by the template of a processor or its tokenizer.

    Images stay where the prompt has them, also where a template would move them to the front of a
    turn (LLaVA); a template without a system turn has the text of that turn begin the user's.
    A processor without template (PaliGemma) gets the images and then the text.
    """

    def __init__(self, processor: Any) -> None:
        self.owner: Any = next(
            (o for o in (processor, processor.tokenizer) if getattr(o, "chat_template", None)), None
        )
        self.system = True
        self.place = processor.image_token
        if self.owner is None:
            return
        try:
            self._apply("system", [{"type": "text", "text": MARK}])
        except Exception:  # templates raise jinja2 errors of their own choice
            self.system = False
        text = self._apply("", [{"type": "text", "text": MARK}])
        image = self._apply("", [{"type": "image"}])
        head = next(n for n, (a, b) in enumerate(zip(text, image, strict=False)) if a != b)
        self.place = image[head:].removesuffix(text.partition(MARK)[2])
        if not self.place:
            raise LabelwiseError("the model's chat template shows no image; it cannot be asked")

    def _apply(self, system: str, content: list[dict[str, str]]) -> str:
        chat = [{"role": "user", "content": content}]
        if system:
            chat.insert(0, {"role": "system", "content": [{"type": "text", "text": system}]})
        return self.owner.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)

    def pieces(self, prompt: Prompt) -> tuple[str, str]:
        """The text before the first image, and that from it on."""
        parts = [(MARK if kind == "image" else text) for kind, text in prompt.user]
        if self.owner is None:
            words = [prompt.system, *(p.strip() for p in parts if p != MARK), prompt.primer]
            text = self.place * parts.count(MARK) + "\n".join(w for w in words if w)
            return "", text
        user = "".join(parts)
        if prompt.system and not self.system:
            user = f"{prompt.system}\n\n{user}"
        content = [{"type": "text", "text": user}]
        text = self._apply(prompt.system if self.system else "", content) + prompt.primer
        before, _, after = text.partition(MARK)
        return before, self.place + after.replace(MARK, self.place)
