// Talks to the two servers: Interlock (this origin, with the user's token) and the stand-in Stripe (its own).

const page = { stripe: "", user: "", token: "" };

export async function configure() {
  const config = await read(await fetch("demo/config"));
  page.stripe = config.stripe_url;
  return config;
}

// Every read below is about this user from now on; the token, not a parameter, says who it is.
export async function signIn(user) {
  const { token } = await read(await fetch(`demo/token?user=${encodeURIComponent(user)}`));
  Object.assign(page, { user, token });
}

export const currentUser = () => page.user;

export function ask(path, options = {}) {
  return fetch(path, { ...options, headers: { ...options.headers, Authorization: `Bearer ${page.token}` } });
}

export const get = async (path) => read(await ask(path));

export const post = async (path, body) =>
  read(await ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }));

export const stripe = {
  get: async (path) => read(await fetch(page.stripe + path)),
  post: async (path, body) =>
    read(
      await fetch(page.stripe + path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      }),
    ),
};

// The answer's JSON, or an Error in the server's own words: a problem's detail, or Stripe's error message.
async function read(response) {
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const words = body.detail || body.error?.message || body.title || `the server answered ${response.status}`;
  throw Object.assign(new Error(words), { status: response.status });
}
