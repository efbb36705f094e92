"""One call to a server: how many at a time, how long, when again, and what ends the run.

The only authority on retries. Waits are exponential with full jitter, and never shorter than the
server's ``Retry-After``, which holds back all calls. How many are under way adapts: one at first
(it also warms the server's prefix cache), one more an answer until the first 429, which halves it,
then one more a round (AIMD).
"""

import asyncio
import json
import logging
import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import openai
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from labelwise.errors import LabelwiseError
from labelwise.servers import chat
from labelwise.servers import entries as servers

T = TypeVar("T")

for _name in ("openai", "httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # their finer logs hold bodies and headers

FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
"""Bounds of the first and of any later wait, in seconds."""

SHARE = 16
"""Calls under way of one client: its pool looks at every connection twice a call."""

FILTERED = ("content_filter", "content_policy_violation")
BAD_IMAGE = (
    *("invalid_image", "invalid_image_format", "invalid_image_mode", "invalid_base64_image"),
    *("image_parse_error", "image_too_large", "image_too_small", "image_file_too_large"),
    *("unsupported_image_media_type", "empty_image_file"),
)
"""Codes of an image that the provider cannot take."""

OUT_OF_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
PASSING = (408, 409, 425, 429)


class Again(Exception):
    """Worth another attempt; ``billed`` where the server may have answered unheard."""

    def __init__(self, why: str, wait: float = 0.0, billed: bool = False) -> None:
        super().__init__(why)
        self.wait, self.billed = wait, billed


class Unseen(Exception):
    """The server cannot take an image of the prompt: an outcome, not a failure."""


class Filtered(Exception):
    """The server's content filter refused the prompt: an outcome, not a failure."""


class Limiter:
    """A window of calls that grows with answers and halves at a 429.

    Args:
        most: calls under way at most.
        clock: seconds.
        sleep: waits for so many seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float], sleep: Callable) -> None:
        self.most, self.clock, self.sleep = most, clock, sleep
        self.window, self.growing = 1.0, True
        self.active, self.until, self.cut = 0, 0.0, -1.0
        self.free = asyncio.Condition()

    async def __aenter__(self) -> float:
        """Wait for a place; returns when the call begins."""
        async with self.free:
            while True:
                if (pause := self.until - self.clock()) > 0:
                    await self.sleep(pause)
                elif self.active >= int(self.window):
                    await self.free.wait()
                else:
                    break
            self.active += 1
        return self.clock()

    async def __aexit__(self, *error: object) -> None:
        """Leave the place to another."""
        async with self.free:
            self.active -= 1
            self.free.notify(max(1, int(self.window) - self.active))

    def answered(self) -> None:
        """An answer came: widen the window."""
        self.window = min(self.most, self.window + (1.0 if self.growing else 1 / self.window))

    def throttled(self, began: float, wait: float) -> None:
        """A 429 came to a call that began at ``began``: halve the window, once a round."""
        now = self.clock()
        self.until = max(self.until, now + wait)
        if began > self.cut:
            self.window, self.growing, self.cut = max(1.0, self.window / 2), False, now


class Caller:
    """Calls of one run.

    Args:
        spec: the model's entry: ``concurrency``, ``attempt_timeout``, ``total_timeout`` (seconds).
        key: the server's key, which no message repeats.
    """

    clock = staticmethod(time.monotonic)
    sleep = staticmethod(asyncio.sleep)

    def __init__(self, spec: Mapping[str, Any], key: str) -> None:
        self.key, self.url = key, servers.base_url(spec)
        self.variable, self.model = servers.key_variable(spec), spec["model"]
        self.concurrency = spec.get("concurrency", servers.CONCURRENCY)
        self.attempt = spec.get("attempt_timeout", servers.ATTEMPT_TIMEOUT)
        self.total = spec.get("total_timeout", servers.TOTAL_TIMEOUT)
        self.limiter = Limiter(self.concurrency, self.clock, self.sleep)
        self.jitter = wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)
        self.attempts = self.throttles = 0
        self.stopping = False
        self.busy: set[asyncio.Task | None] = set()
        self.clients: list[openai.AsyncOpenAI] = []
        self.turn = 0

    @property
    def client(self) -> openai.AsyncOpenAI:
        """A client in turn; there are as many as the window needs (``SHARE`` calls each)."""
        needed = math.ceil(self.limiter.window / SHARE)
        if len(self.clients) < needed:
            made = openai.AsyncOpenAI(
                api_key=self.key, base_url=self.url, max_retries=0, timeout=self.attempt
            )
            self.clients.append(made)
        self.turn = (self.turn + 1) % len(self.clients)
        return self.clients[self.turn]

    async def close(self) -> None:
        """Close all connections."""
        for client in self.clients:
            await client.close()

    async def __call__(
        self,
        send: Callable[[], Awaitable[T]],
        before: Callable[[], Awaitable[None]] | None = None,
        lost: Callable[[], None] = lambda: None,
    ) -> T:
        """The result of ``send``, tried until it succeeds or ``total_timeout`` would pass.

        ``before`` is awaited before each attempt, once there is a place for it; ``lost`` is called
        for an attempt that may have been billed without an answer.

        Raises:
            LabelwiseError: no answer in time, or what no other attempt can mend; from then on
                nothing more is sent and waiting calls are cancelled.
            Filtered: the content filter refused.
            Unseen: an image of the prompt was refused.
        """
        began: float | None = None

        def passed() -> float:
            return 0.0 if began is None else self.clock() - began

        def late(state: RetryCallState) -> bool:
            return self.stopping or passed() + state.upcoming_sleep > self.total

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return getattr(error, "wait", 0.0) + self.jitter(state)

        tried = AsyncRetrying(
            retry=retry_if_exception_type(Again),
            wait=wait,
            stop=late,
            sleep=self.sleep,
            reraise=True,
        )
        n = 0
        try:
            async for attempt in tried:
                with attempt:
                    async with self.limiter as at:
                        if self.stopping:
                            raise asyncio.CancelledError
                        n, began = n + 1, at if began is None else began
                        try:
                            if before:
                                await before()
                            result = await self._attempt(send)
                        except LabelwiseError:
                            self.stopping = True
                            raise
                        except Again as error:
                            if error.billed:
                                lost()
                            if error.args[0].startswith("429"):
                                self.throttles += 1
                                self.limiter.throttled(at, error.wait)
                            raise
                        self.limiter.answered()
                    return result
        except Again as error:
            raise LabelwiseError(
                f"{self.url}: no answer after {n} attempts in {passed():.0f} s"
                f" (total_timeout {self.total:g}): {error}; answers so far are kept, run again"
            ) from None
        raise AssertionError("unreachable")

    async def _attempt(self, send: Callable[[], Awaitable[T]]) -> T:
        self.attempts += 1
        task = asyncio.current_task()
        self.busy.add(task)
        try:
            async with asyncio.timeout(self.attempt):
                return await send()
        except (TimeoutError, openai.APITimeoutError):
            raise Again(f"no answer within {self.attempt:g} s (attempt_timeout)", 0, True) from None
        except openai.APIConnectionError as error:
            why = type(error.__cause__).__name__ if error.__cause__ else "connection error"
            raise Again(f"connection lost ({why})", 0, True) from None
        except (chat.Unusable, json.JSONDecodeError):
            raise Again("a reply that is no chat completion", 0, True) from None
        except openai.APIStatusError as error:
            raise self._judge(error) from None
        except openai.OpenAIError as error:
            raise Again(self.clean(str(error)), 0, True) from None
        finally:
            self.busy.discard(task)

    def _judge(self, error: openai.APIStatusError) -> Exception:
        """What an HTTP error means."""
        status = error.status_code
        codes = {error.code, error.type}
        said = self.clean(error.message)
        if codes & set(FILTERED):
            return Filtered(said)
        if codes & set(BAD_IMAGE):
            return Unseen(said)
        if status in (401, 403):
            return LabelwiseError(
                f"{self.url}: refuses the key (HTTP {status}); check the environment variable"
                f" {self.variable}"
            )
        if codes & set(OUT_OF_QUOTA) or status == 402:
            return LabelwiseError(
                f"{self.url}: the account of {self.variable} has no quota left (HTTP {status});"
                " answers so far are kept, add credit and run again"
            )
        if status in PASSING or status >= 500:
            return Again(f"{status} {said}", retry_after(error.response.headers))
        if status == 404:
            return LabelwiseError(f"{self.url}: HTTP 404 (model {self.model!r}): {said}")
        return LabelwiseError(f"{self.url}: refuses the request (HTTP {status}): {said}")

    def clean(self, text: str) -> str:
        """A server's message on one line, without the key and without images."""
        text = " ".join(text.replace(self.key, "***" if len(self.key) > 4 else self.key).split())
        text = re.sub(r"data:image\S*", "[image]", text)
        return re.sub(r"\b(sk|hf)[-_][\w*.-]{6,}", "***", text)[:200]


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that a server asks to wait (0 for none); a date or a number."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        return max(0.0, float(headers.get("retry-after", 0)))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except ValueError:
        return 0.0
