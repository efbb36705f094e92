"""Any server that speaks OpenAI's chat completions: the provider, vLLM, SGLang, transformers.

Spec: ``model``; ``base_url`` (``OPENAI_BASE_URL``, else the provider) and ``key_env`` (the variable
with its key, ``OPENAI_API_KEY``); ``detail`` of images (``high`` | ``low``); ``structured``
(``enum`` | ``schema`` | ``none``, see ``labelwise.servers.chat``); ``seed`` (0); ``max_images`` of
a prompt; ``concurrency`` (64 at most under way); ``attempt_timeout`` and ``total_timeout`` (120 and
900 seconds); ``price`` and ``max_cost_usd`` of one run, needed where asking is paid; ``batch`` true
for the provider's Batch API, with at most ``batch_requests`` in a file. Temperature is 0.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from typing import Any

from pydantic_core import to_json

from labelwise.engines.base import Answer, Question, Refused, Run, Told
from labelwise.errors import LabelwiseError
from labelwise.servers import chat, money
from labelwise.servers import entries as servers
from labelwise.servers.batch_api import Batches
from labelwise.servers.calls import Caller, Filtered, Unseen


class Model:
    """Asks a server; answers come in any order, and each is yielded as it comes."""

    journalled = True
    synced = True

    def __init__(self, spec: dict[str, Any], run: Run) -> None:
        servers.check(spec, spec["model"])
        self.spec, self.run, self.header = spec, run, run.header
        self.key = servers.api_key(spec)
        self.caller: Any = None  # a Caller, while questions are asked
        self.meter = money.Meter(spec, run.spent) if servers.is_paid(spec) else None

    def answer(self, questions: Iterable[Question]) -> Iterator[Told]:
        """Yield answers as they come.

        Raises:
            LabelwiseError: the first failure, after the answers under way have been yielded.
        """
        checked: Iterator[Question] = map(self._checked, questions)
        if self.meter:
            checked = iter(self._affordable(list(checked)))
        with asyncio.Runner() as runner:
            stream = self._stream(checked)
            try:
                while (answers := runner.run(_next(stream))) is not None:
                    yield from answers
            finally:
                runner.run(stream.aclose())

    def _checked(self, question: Question) -> Question:
        protocol = self.header["protocol"]
        if question.prompt.primer:
            raise LabelwiseError(
                f"protocols: {protocol}: its prompt starts the answer (primer), which chat"
                f" completions cannot; give {self.spec['model']} a prompt without one"
            )
        most = self.spec.get("max_images")
        if most and len(question.files) > most:
            raise LabelwiseError(
                f"{self.spec['model']} takes {most} images a prompt (max_images), not"
                f" {len(question.files)}; lower batches of {protocol}"
            )
        return question

    def _affordable(self, questions: list[Question]) -> list[Question]:
        """The questions, if what they are expected to cost is within the limit."""
        cost = money.expected(self.spec, self.header, [self.tokens(q) for q in questions])
        left = self.meter.limit - self.meter.spent if self.meter else math.inf
        money.announce(self.spec, len(questions), cost, left)
        return questions

    def tokens(self, question: Question) -> int:
        """Estimated tokens of a prompt."""
        return money.prompt_tokens(self.spec, question.prompt, map(money.size, question.files))

    def body(self, question: Question) -> dict[str, Any]:
        """What is sent of a question."""
        return chat.body(self.spec, self.header, self.run.names, question)

    def read(self, question: Question, reply: dict[str, Any], cost: float | None) -> Answer:
        """A reply as the answer to a question."""
        text, finish = chat.answer(reply, self.header["stop"])
        facts: dict[str, Any] = {"by": chat.who(reply)}
        if cost is not None:
            facts["cost_usd"] = cost
        return Answer(question.id, text, finish, chat.usage(reply), facts)

    def filtered(self, question: Question) -> Answer:
        """The answer where the content filter refused the prompt."""
        return Answer(question.id, "", "content_filter", {}, {"by": [self.spec["model"], ""]})

    def unfit(self, question: Question) -> Refused | None:
        """The images of a question that cannot be sent; None where all can."""
        why = chat.unfit(question.files, servers.is_provider(self.spec))
        return Refused(question.id, why) if why else None

    def unseen(self, question: Question, said: str) -> Refused:
        """All images of a question: the server did not say which of them it cannot take."""
        return Refused(question.id, dict.fromkeys(range(1, len(question.files) + 1), said))

    async def _stream(self, questions: Iterator[Question]) -> AsyncGenerator[list[Told]]:
        self.caller = Caller(self.spec, self.key)
        try:
            if self.spec.get("batch"):
                async for answers in Batches(self, self.caller).answer(questions):
                    yield answers
            else:
                async for answers in self._ask_all(questions):
                    yield answers
        finally:
            await self.caller.close()

    async def _ask_all(self, questions: Iterator[Question]) -> AsyncIterator[list[Told]]:
        """Keep as many questions under way as may be; after a failure, end those being sent."""
        tasks: set[asyncio.Task] = set()
        failed: BaseException | None = None
        try:
            while True:
                while failed is None and len(tasks) < self.caller.concurrency:
                    try:
                        question = next(questions, None)
                    except LabelwiseError as error:
                        failed, self.caller.stopping = error, True
                        break
                    if question is None:
                        break
                    tasks.add(asyncio.create_task(self._ask(question)))
                if not tasks:
                    break
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                answers: list[Told] = []
                for task in done:
                    if task.cancelled():
                        continue
                    if (wrong := task.exception()) is None:
                        answers.append(task.result())
                    elif failed is None:
                        failed, self.caller.stopping = wrong, True
                        for idle in tasks - self.caller.busy:
                            idle.cancel()
                yield answers
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if failed:
            raise failed

    async def _ask(self, question: Question) -> Told:
        if refused := self.unfit(question):
            return refused
        meter = self.meter
        estimate = self.tokens(question) if meter else 0

        async def reserve() -> None:
            assert meter is not None
            await meter.reserve(question.id, estimate, self.header["max_tokens"])

        async def send() -> Answer:
            reply = await self.caller.client.post(
                "/chat/completions", cast_to=object, content=to_json(self.body(question))
            )
            found = chat.checked(reply)
            if meter is None:
                return self.read(question, found, None)
            cost = await meter.settle(question.id, estimate, chat.usage(found))
            return self.read(question, found, cost)

        try:
            if meter is None:
                return await self.caller(send)
            return await self.caller(send, reserve, lambda: meter.lost(question.id))
        except Filtered:
            return self.filtered(question)
        except Unseen as error:
            return self.unseen(question, str(error))
        finally:
            if meter:
                await meter.release(question.id)

    def describe(self) -> dict[str, Any]:
        """Server, attempts and 429s."""
        facts: dict[str, Any] = {"server": servers.base_url(self.spec), "mode": "online"}
        if self.spec.get("batch"):
            facts["mode"] = "batch"
        if self.caller:
            facts |= {"attempts": self.caller.attempts, "throttled": self.caller.throttles}
        return facts


async def _next(stream: AsyncIterator[list[Told]]) -> list[Told] | None:
    return await anext(stream, None)
