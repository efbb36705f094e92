"""A server of chat completions and batches on loopback; its faults are scripted.

Each call to ``/chat/completions`` takes the next fault of the script, if any is left; then the
server answers well. It keeps every request it got.
"""

import contextlib
import email
import email.policy
import hashlib
import itertools
import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-canary-0123456789abcdef"


def completion(text="tench", finish="stop", **message):
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "tiny-2026-01-01",
        "system_fingerprint": "fp_1",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": text, **message},
            }
        ],
        "usage": {
            "prompt_tokens": 2000,
            "completion_tokens": 5,
            "total_tokens": 2005,
            "prompt_tokens_details": {"cached_tokens": 1024},
        },
    }


def shown(body):
    """Data URLs of a request's images, in order."""
    parts = body["messages"][-1]["content"]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


def by_image(body):
    """An answer that depends on the images alone."""
    names = ["tench", "goldfish", "hammerhead shark", "no fish at all"]
    picked = [names[hashlib.sha256(url.encode()).digest()[0] % len(names)] for url in shown(body)]
    if "response_format" in body:
        return json.dumps({str(n): name for n, name in enumerate(picked, 1)})
    return "\n".join(picked)


def error(code, message="something is wrong", kind=None):
    return {"error": {"message": message, "type": kind or code, "code": code, "param": None}}


class Fake:
    """The server: ``script`` of faults, ``requests`` it got, batches and how they end.

    A fault is ``(name, ...)``: ``("status", code, body, headers)``, ``("reset",)``, ``("drip",)``,
    ``("hang",)``, ``("garbage",)``, ``("reply", completion)``.
    """

    def __init__(self, script=(), answer=by_image, delay=0.0, batches=()):
        self.script, self.answer, self.delay = list(script), answer, delay
        self.plans = list(batches)
        self.requests, self.headers, self.uploads = [], [], []
        self.files, self.batches = {}, {}
        self.active = self.most = 0
        self.lock = threading.Lock()
        self.number = itertools.count(1)
        self.ended = threading.Event()
        self.on = lambda event: None

    def __enter__(self):
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                fake.get(self)

            def do_POST(self):
                data = self.rfile.read(int(self.headers["Content-Length"]))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    fake.post(self, data)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def send(self, handler, value, status=200, headers=()):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        handler.send_response(status)
        for name, text in dict(headers).items():
            handler.send_header(name, text)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def post(self, handler, data):
        if handler.path.endswith("/chat/completions"):
            with self.lock:
                self.active += 1
                self.most = max(self.most, self.active)
                self.requests.append(json.loads(data))
                self.headers.append({k.lower(): v for k, v in handler.headers.items()})
                body = self.requests[-1]
                fault = self.script.pop(0) if self.script else ("reply", None)
            try:
                time.sleep(self.delay)
                self.chat(handler, body, *fault)
            finally:
                with self.lock:
                    self.active -= 1
        elif handler.path.endswith("/files"):
            self.upload(handler, data)
        elif handler.path.endswith("/batches"):
            self.create(handler, json.loads(data))
        else:
            self.send(handler, error("not_found"), 404)

    def chat(self, handler, body, name, *how):
        if name == "reply":
            self.send(handler, how[0] or completion(self.answer(body)))
        elif name == "status":
            code, value, *headers = how
            self.send(handler, value, code, *headers)
        elif name == "reset":
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.connection.close()
        elif name == "garbage":
            self.send(handler, b'{"choices": [{"mess')
        elif name == "hang":
            self.ended.wait(30)
        elif name == "drip":
            handler.send_response(200)
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
            while not self.ended.wait(0.05):
                handler.wfile.write(b" ")
                handler.wfile.flush()

    # batches

    def upload(self, handler, data):
        self.on("upload")
        head = f"Content-Type: {handler.headers['Content-Type']}\r\n\r\n".encode()
        form = email.message_from_bytes(head + data, policy=email.policy.HTTP)
        content = next(
            part.get_payload(decode=True)
            for part in form.iter_parts()
            if part.get_param("name", header="content-disposition") == "file"
        )
        name = f"file-{next(self.number)}"
        self.files[name] = content
        self.uploads.append(content)
        self.send(handler, {"id": name, "object": "file", "purpose": "batch", "filename": "x"})
        self.on("uploaded")

    def create(self, handler, asked):
        self.on("create")
        name = f"batch-{next(self.number)}"
        plan = self.plans.pop(0) if self.plans else {}
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "endpoint": asked["endpoint"],
            "input_file_id": asked["input_file_id"],
            "completion_window": asked["completion_window"],
            "metadata": asked["metadata"],
            "created_at": 1,
            "status": "in_progress",
            "plan": {"polls": 1, "status": "completed"} | plan,
        }
        self.on("created")
        self.send(handler, self.public(name))

    def public(self, name):
        return {key: value for key, value in self.batches[name].items() if key != "plan"}

    def get(self, handler):
        path = handler.path.split("?")[0]
        last = path.rsplit("/", 1)[-1]
        if path.endswith("/batches"):
            listed = [self.public(name) for name in reversed(self.batches)]
            self.send(handler, {"object": "list", "data": listed, "has_more": False})
        elif last in self.batches:
            self.poll(last)
            self.send(handler, self.public(last))
        elif path.endswith("/content"):
            self.on("fetch")
            self.send(handler, self.files[path.split("/")[-2]])
        else:
            self.send(handler, error("not_found"), 404)

    def poll(self, name):
        """A batch ends after some polls; those of ``lose`` have no answer, ``errors`` are given."""
        batch = self.batches[name]
        plan = batch["plan"]
        plan["polls"] -= 1
        if plan["polls"] >= 0 or batch["status"] != "in_progress":
            return
        batch["status"] = plan["status"]
        if plan["status"] == "failed":
            batch["errors"] = {"object": "list", "data": [plan["error"]]}
            return
        lines, failed = [], []
        for n, line in enumerate(self.files[batch["input_file_id"]].splitlines()):
            request = json.loads(line)
            if n in plan.get("lose", ()):
                expired = {"code": "batch_expired", "message": "not done in time"}
                failed.append({"custom_id": request["custom_id"], "error": expired})
            elif n in plan.get("errors", {}):
                status, value = plan["errors"][n]
                response = {"status_code": status, "body": value}
                failed.append({"custom_id": request["custom_id"], "response": response})
            else:
                reply = completion(self.answer(request["body"]))
                response = {"status_code": 200, "body": reply}
                lines.append({"custom_id": request["custom_id"], "response": response})
        for key, found in (("output_file_id", lines[::-1]), ("error_file_id", failed)):
            if found:
                batch[key] = f"file-{next(self.number)}"
                text = "\n".join(json.dumps({"id": "r", **line}) for line in found)
                self.files[batch[key]] = text.encode()
