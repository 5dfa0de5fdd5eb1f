// What the service answers, from its own OpenAPI document, and a small client: no package to install.
//
//   const interlock = new Interlock({ url: "https://billing.example", token: () => session.token });
//   const state = await interlock.call("readSubscription");
//   const { url } = await interlock.call("createCheckout", { body: { plan: "pro" } });
//   for await (const state of interlock.watch()) show(state);

export interface Options {
  /** Where the service is, with the path that it is mounted at. */
  url: string;
  /** Gives the user's bearer token, afresh for each request; left out where a cookie of the host's says who asks. */
  token?: () => string | Promise<string>;
  /** Another `fetch`, in tests. */
  fetch?: typeof fetch;
}

export type Operation = keyof Operations;
export type Asked<O extends Operation> = Operations[O]["asked"];
export type Answer<O extends Operation> = Operations[O]["answer"];
/** The state of a user. */
export type Held = Answer<"readSubscription">;

/** An answer that is a problem: `code` names its kind, `problem` has all that was said. */
export class InterlockError extends Error {
  readonly status: number;
  readonly code: Problem["code"];
  readonly problem: Problem;
  /** Seconds after which it is worth to ask again, where the service says so. */
  readonly retryAfter: number | null;

  constructor(problem: Problem, retryAfter: number | null) {
    super(problem.detail);
    this.name = "InterlockError";
    this.status = problem.status;
    this.code = problem.code;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

interface Seen {
  etag: string;
  answer: unknown;
}

interface Parts {
  path?: Record<string, string>;
  query?: Record<string, unknown>;
  body?: unknown;
}

const SEEN_AT_MOST = 100;
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;

export class Interlock {
  readonly #url: string;
  readonly #token: Options["token"];
  readonly #fetch: typeof fetch;
  readonly #seen = new Map<string, Seen>();

  constructor(options: Options) {
    this.#url = options.url.replace(/\/+$/, "");
    this.#token = options.token;
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
  }

  /** Ask one operation of the service; what has not changed since it was last asked is not sent again. */
  async call<O extends Operation>(
    operation: O,
    ...[asked]: {} extends Asked<O> ? [Asked<O>?] : [Asked<O>]
  ): Promise<Answer<O>> {
    const parts: Parts = asked ?? {};
    const [method, template] = OPERATIONS[operation];
    const path = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(parts.path?.[name] ?? ""));
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(parts.query ?? {})) {
      if (value !== undefined && value !== null) query.set(name, String(value));
    }
    const url = this.#url + path + (query.size > 0 ? `?${query}` : "");
    const headers = await this.#headers();
    const seen = method === "GET" ? this.#seen.get(url) : undefined;
    if (seen !== undefined) headers.set("If-None-Match", seen.etag);
    const init: RequestInit = { method, headers };
    if (parts.body !== undefined) {
      headers.set("Content-Type", "application/json");
      init.body = JSON.stringify(parts.body);
    }
    const answer = await this.#fetch(url, init);
    if (answer.status === 304 && seen !== undefined) return seen.answer as Answer<O>;
    if (answer.status === 204) return undefined as unknown as Answer<O>;
    if (!answer.ok) throw await problemOf(answer);
    const body: unknown = await answer.json();
    const etag = answer.headers.get("ETag");
    if (method === "GET" && etag !== null) this.#remember(url, { etag, answer: body });
    return body as Answer<O>;
  }

  /** The user's state at once, and again at each change, for as long as the loop runs; lost connections are made anew. */
  async *watch(signal?: AbortSignal): AsyncGenerator<Held, void, undefined> {
    let version = -1;
    let wait = FIRST_WAIT;
    while (!signal?.aborted) {
      try {
        const init: RequestInit = { headers: await this.#headers() };
        if (signal !== undefined) init.signal = signal;
        const answer = await this.#fetch(`${this.#url}/subscription/stream`, init);
        if (!answer.ok) throw await problemOf(answer);
        for await (const state of statesOf(answer)) {
          wait = FIRST_WAIT;
          if (state.version <= version) continue;
          version = state.version;
          yield state;
        }
      } catch (error) {
        if (signal?.aborted) return;
        if (error instanceof InterlockError && error.status < 500 && error.status !== 429) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(2 * wait, LONGEST_WAIT);
    }
  }

  async #headers(): Promise<Headers> {
    const headers = new Headers({ Accept: "application/json, text/event-stream" });
    if (this.#token !== undefined) headers.set("Authorization", `Bearer ${await this.#token()}`);
    return headers;
  }

  #remember(url: string, seen: Seen): void {
    this.#seen.delete(url);
    this.#seen.set(url, seen);
    const oldest = this.#seen.keys().next();
    if (this.#seen.size > SEEN_AT_MOST && !oldest.done) this.#seen.delete(oldest.value);
  }
}

async function problemOf(answer: Response): Promise<InterlockError> {
  const after = answer.headers.get("Retry-After");
  const text = await answer.text();
  try {
    return new InterlockError(JSON.parse(text) as Problem, after === null ? null : Number(after));
  } catch {
    const problem = { type: "about:blank", title: answer.statusText, status: answer.status, detail: "", code: "internal" };
    return new InterlockError(problem as Problem, null);
  }
}

async function* statesOf(answer: Response): AsyncGenerator<Held, void, undefined> {
  if (answer.body === null) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const data = text.slice(0, end).split("\n").filter((line) => line.startsWith("data: "));
        text = text.slice(end + 2);
        if (data.length > 0) yield JSON.parse(data.map((line) => line.slice(6)).join("\n")) as Held;
      }
    }
  } finally {
    await reader.cancel();
  }
}
