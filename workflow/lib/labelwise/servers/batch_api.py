"""The provider's Batch API: half the price, answers within a day.

Questions go in files of at most 50,000 requests and 200 MB, each named by its journal key. What is
under way is in a file beside the journal, written before each step, so that a killed run goes on
where it was: a file of questions is built and uploaded again (which costs nothing), but a batch,
which does cost, is looked for at the server before it is made a second time. The files that are
sent are never on disk under a name: they hold the images.

``{"batches": [{"label", "keys", "step", "file", "batch"}]}``; ``step`` is ``planned`` (upload
next), ``uploaded`` (create next), ``sent`` (wait and fetch next) or ``done`` (all its answers are
in the journal or must be asked again).
"""

import json
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from pydantic_core import to_json

from labelwise import records
from labelwise.engines.base import Answer, Question, Told
from labelwise.errors import LabelwiseError
from labelwise.servers import chat
from labelwise.servers.calls import BAD_IMAGE, FILTERED, OUT_OF_QUOTA, PASSING, Caller

if TYPE_CHECKING:
    from labelwise.engines.openai import Model

MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000
POLL = 30.0
"""Seconds between two looks at the batches."""

ROUNDS = 5
"""How often one question is sent before the run gives up on it."""

ENDED = ("completed", "failed", "expired", "cancelled")
FULL = "token_limit_exceeded"
"""The code of a batch that was not taken because too much is waiting already."""


class Batches:
    """The batches of one run.

    Args:
        model: the engine, which knows how a question is sent and a reply is read.
        caller: does the calls.
    """

    def __init__(self, model: "Model", caller: Caller) -> None:
        self.model, self.caller = model, caller
        if model.run.state is None:
            raise LabelwiseError("batch: there is no journal beside which to keep the batches")
        self.meter, self.path = model.meter, model.run.state
        self.most = min(model.spec.get("batch_requests", MOST_REQUESTS), MOST_REQUESTS)
        self.left: dict[str, Question] = {}
        self.batches: list[dict[str, Any]] = []
        if self.path.exists():
            self.batches = records.read_json(self.path)["batches"]

    def save(self) -> None:
        """Put the state on disk, whole or not at all."""
        records.write_json(self.path, {"batches": self.batches})

    async def answer(self, questions: Iterator[Question]) -> AsyncIterator[list[Told]]:
        """Yield the answers of each batch as it ends; what is missing is sent again.

        Raises:
            LabelwiseError: what no other batch can mend, after all that was answered.
        """
        self.left = {}
        for question in questions:
            if refused := self.model.unfit(question):
                yield [refused]
            else:
                self.left[question.key] = question
        for _ in range(ROUNDS):
            self._plan()
            waiting = self._waiting()
            for batch in waiting:
                if batch["step"] != "planned" and self.meter:
                    self.meter.reserved |= self._bounds(batch)
            if waiting:
                n = len(self.left)
                print(f"{len(waiting)} batches with {n} requests", file=sys.stderr, flush=True)
            while waiting:
                for batch in waiting:
                    await self._send(batch)
                for batch in list(waiting):
                    if (state := await self._ended(batch)) is None:
                        continue
                    answers, fatal = await self._fetch(state, batch)
                    yield answers
                    batch["step"] = "done"  # the journal has what was yielded
                    self.save()
                    waiting.remove(batch)
                    if fatal:
                        raise fatal
                if waiting:
                    await self.caller.sleep(POLL)
            if not self.left:
                return
            print(f"{len(self.left)} requests came back unanswered; sent again", file=sys.stderr)
        raise LabelwiseError(
            f"{self.caller.url}: {len(self.left)} requests had no answer in {ROUNDS} batches;"
            " answers so far are kept, run again"
        )

    def _waiting(self) -> list[dict[str, Any]]:
        """Batches that hold questions not answered yet."""
        return [b for b in self.batches if b["step"] != "done" and self.left.keys() & b["keys"]]

    # from questions to a batch at the server

    def _plan(self) -> None:
        """Cut the questions that no batch holds into batches of the provider's size."""
        held = {key for batch in self._waiting() for key in batch["keys"]}
        group: list[str] = []
        size = 0
        for key, question in self.left.items():
            if key in held:
                continue
            line = len(self._line(question))
            if line > MOST_BYTES:
                raise LabelwiseError(f"request {question.id}: {line} bytes are too many for a file")
            if group and (len(group) >= self.most or size + line > MOST_BYTES):
                self._add(group)
                group, size = [], 0
            group.append(key)
            size += line
        if group:
            self._add(group)
        self.save()

    def _add(self, keys: list[str]) -> None:
        self.batches.append({"label": _label(), "keys": keys, "step": "planned"})

    def _line(self, question: Question) -> bytes:
        request = {
            "custom_id": question.key,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": self.model.body(question),
        }
        return to_json(request) + b"\n"

    def _bounds(self, batch: dict[str, Any]) -> dict[str, float]:
        """The most that each unanswered question of a batch costs."""
        meter, most = self.model.meter, self.model.header["max_tokens"]
        assert meter is not None
        return {
            key: meter.bound(self.model.tokens(self.left[key]), most)
            for key in batch["keys"]
            if key in self.left
        }

    async def _send(self, batch: dict[str, Any]) -> None:
        """Bring a batch to the step ``sent``, unless the limit of cost holds it back."""
        if batch["step"] == "planned":
            if not self._afford(batch):
                return
            batch["keys"] = [key for key in batch["keys"] if key in self.left]
            batch |= {"file": await self._upload(batch), "step": "uploaded"}
            self.save()
        if batch["step"] == "uploaded":
            batch |= {"batch": await self.caller(lambda: self._create(batch)), "step": "sent"}
            self.save()

    def _afford(self, batch: dict[str, Any]) -> bool:
        """Set aside what a batch may cost; False where others must end before it fits."""
        if not self.meter:
            return True
        bounds = self._bounds(batch)
        total = sum(bounds.values())
        if self.meter.fits(total):
            self.meter.reserved |= bounds
            return True
        if not self.meter.reserved:
            raise LabelwiseError(
                f"max_cost_usd: {self.meter.limit:g} USD could be passed: {self.meter.spent:.4f}"
                f" are spent and the next batch may cost {total:.4f}; raise it, or lower"
                " batch_requests; answers so far are kept"
            )
        return False

    async def _upload(self, batch: dict[str, Any]) -> str:
        with tempfile.TemporaryFile(dir=self.path.parent) as file:
            for key in batch["keys"]:
                file.write(self._line(self.left[key]))
            return await self.caller(lambda: self._post(f"{batch['label']}.jsonl", file))

    async def _post(self, name: str, file: BinaryIO) -> str:
        file.seek(0)
        return _object(
            await self.caller.client.files.create(file=(name, file.read()), purpose="batch")
        ).id

    async def _create(self, batch: dict[str, Any]) -> str:
        """Make a batch, unless an earlier call that was killed or lost has made it."""
        seen = set()
        async for found in self.caller.client.batches.list(limit=100):
            if (found.metadata or {}).get("labelwise") == batch["label"]:
                return found.id
            if found.id in seen:
                break  # a server that has one page only gives it again
            seen.add(found.id)
        made = await self.caller.client.batches.create(
            input_file_id=batch["file"],
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={"labelwise": batch["label"]},
            extra_headers={"Idempotency-Key": batch["label"]},
        )
        return _object(made).id

    # from the server to answers

    async def _ended(self, batch: dict[str, Any]) -> Any:
        """The batch as the server has it, once it has ended; one that was not taken waits."""
        if batch["step"] != "sent":
            return None

        async def look() -> Any:
            return _object(await self.caller.client.batches.retrieve(batch["batch"]))

        state = await self.caller(look)
        if state.status not in ENDED:
            return None
        errors = state.errors.data or [] if state.errors else []
        if FULL in {error.code for error in errors}:
            if self.meter:
                for key in batch["keys"]:
                    self.meter.reserved.pop(key, None)
            batch |= {"label": _label(), "step": "planned"}
            self.save()
            return None
        if state.status == "failed":
            said = self.caller.clean("; ".join(error.message or "" for error in errors))
            batch["step"] = "done"
            self.save()
            raise LabelwiseError(f"{self.caller.url}: batch {state.id} failed: {said}")
        return state

    async def _fetch(
        self, state: Any, batch: dict[str, Any]
    ) -> tuple[list[Told], LabelwiseError | None]:
        """Answers of a batch that ended; questions without one stay in ``left``."""
        answers: list[Told] = []
        fatal = None
        for name in (state.output_file_id, state.error_file_id):
            if name is None:
                continue
            content = await self.caller(partial(self._content, name))
            for line in content.content.splitlines():
                key, reply, error = _read(line)
                if key not in self.left:
                    continue
                if reply is not None:
                    answers.append(await self._priced(self.left.pop(key), reply))
                elif error["code"] in FILTERED:
                    answers.append(self.model.filtered(self.left.pop(key)))
                elif error["code"] in BAD_IMAGE:
                    said = self.caller.clean(error["message"])
                    answers.append(self.model.unseen(self.left.pop(key), said))
                elif error["code"] in OUT_OF_QUOTA or not _passes(error):
                    fatal = fatal or LabelwiseError(
                        f"{self.caller.url}: batch {state.id}: request {self.left[key].id} was"
                        f" refused ({error['status']} {error['code']}):"
                        f" {self.caller.clean(error['message'])}"
                    )
        if self.meter:
            for key in batch["keys"]:
                await self.meter.release(key)
        return answers, fatal

    async def _content(self, name: str) -> Any:
        return await self.caller.client.files.content(name)

    async def _priced(self, question: Question, reply: dict[str, Any]) -> Answer:
        cost = None
        if self.meter:
            tokens = self.model.tokens(question)
            cost = await self.meter.settle(question.key, tokens, chat.usage(reply))
        return self.model.read(question, reply, cost)


def _object(made: Any) -> Any:
    """What a call returned, unless the server sent a page of text."""
    if isinstance(made, str):
        raise chat.Unusable("a page of text")
    return made


def _label() -> str:
    return f"labelwise-{uuid.uuid4().hex}"


def _read(line: bytes) -> tuple[str, dict[str, Any] | None, dict[str, Any]]:
    """Key, reply and error of one line of an output or error file; one of the two is empty."""
    try:
        result = json.loads(line)
        key, response = result["custom_id"], result.get("response") or {}
    except (ValueError, KeyError, TypeError):
        return "", None, {}
    status, body = response.get("status_code"), response.get("body") or {}
    if status == 200:
        try:
            return key, chat.checked(body), {}
        except chat.Unusable as error:
            return key, None, {"status": 500, "code": "", "message": str(error)}
    told = result.get("error") or body.get("error") or {}
    said = str(told.get("message") or told)
    return key, None, {"status": status, "code": told.get("code"), "message": said}


def _passes(error: dict[str, Any]) -> bool:
    """Whether another batch may answer: the batch expired, the server failed or was busy."""
    status = error["status"]
    return status is None or status in PASSING or status >= 500
