// Talking to the server, and saying so where it does not answer.

import { $ } from "./dom.js";

export function freshId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

// A request is repeated until the server answers: "saved" is said only when it is on the disk.
export async function ask(path, body) {
  const options = body && {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  };
  for (let wait = 500; ; wait = Math.min(2 * wait, 4000)) {
    try {
      const reply = await fetch(path, options);
      const text = await reply.text();
      if (reply.status < 500) {
        trouble("");
        const value = reply.headers.get("content-type").includes("json") ? JSON.parse(text) : { error: text };
        if (!reply.ok) throw new Refused(value.error || value.detail || text);
        return value;
      }
    } catch (error) {
      if (error instanceof Refused) throw error;
    }
    trouble("The server does not answer. Nothing is lost that was saved; trying again…");
    await new Promise((done) => setTimeout(done, wait));
  }
}

export class Refused extends Error {}

export function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

let busy = false;
export async function once(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    trouble(String(error.message));
  } finally {
    busy = false;
  }
}
