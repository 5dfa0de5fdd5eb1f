// Server-sent events over fetch: EventSource can't send the bearer token.

import { ask } from "./api.js";

const SILENCE = 60_000; // the server pings more often than this; a longer silence is a dead connection

// Calls `onState` with each state and `onLive` with true or false, until the returned function is called.
export function follow(path, onState, onLive) {
  const stopped = new AbortController();
  let wait = 250;

  async function once() {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    stopped.signal.addEventListener("abort", stop);
    let watchdog = setTimeout(stop, SILENCE);
    try {
      const response = await ask(path, { headers: { Accept: "text/event-stream" }, signal: attempt.signal });
      if (!response.ok) throw new Error(`stream: ${response.status}`);
      onLive(true);
      wait = 250;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let buffer = ""; ; ) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(watchdog);
        watchdog = setTimeout(stop, SILENCE);
        const messages = (buffer + value).replaceAll("\r\n", "\n").split("\n\n");
        buffer = messages.pop();
        messages.forEach(deliver);
      }
    } finally {
      clearTimeout(watchdog);
      stopped.signal.removeEventListener("abort", stop);
    }
  }

  function deliver(message) {
    const lines = message.split("\n");
    const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim());
    if (data.length && !stopped.signal.aborted) onState(JSON.parse(data.join("\n")));
  }

  (async () => {
    while (!stopped.signal.aborted) {
      await once().catch(() => {});
      if (stopped.signal.aborted) return;
      onLive(false);
      await new Promise((resume) => setTimeout(resume, wait));
      wait = Math.min(wait * 2, 5_000);
    }
  })();
  return () => stopped.abort();
}
