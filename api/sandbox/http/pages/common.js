// What the stand-in's three pages share: asking its server, making elements, money, dates and the test cards.

export const $ = (id) => document.getElementById(id);

export function el(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

// The id that the address ends in: /c/cs_…, /p/bps_…, /i/in_…
export const pageId = () => encodeURIComponent(decodeURIComponent(location.pathname.split("/").at(-1)));

export const read = async (path) => answer(await fetch(path));

export const send = async (path, body) =>
  answer(await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }));

async function answer(response) {
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const { message, decline_code } = body.error ?? {};
  const words = message ?? `The stand-in answered ${response.status}.`;
  const code = decline_code && decline_code !== "generic_decline" ? ` (${decline_code})` : "";
  throw Object.assign(new Error(words + code), { status: response.status });
}

export function money(amount, currency) {
  const format = new Intl.NumberFormat("en", { style: "currency", currency });
  return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
}

export const day = (seconds) =>
  new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" }).format(
    new Date(seconds * 1000),
  );

export const grouped = (number) => number.replace(/\D/g, "").replace(/(\d{4})(?=\d)/g, "$1 ");

// One radio button for each card, with what it does in words and, beside the words, in colour.
export function offerCards(fieldset, cards) {
  const rows = cards.map(({ number, label, outcome }, index) => {
    const radio = el("input", { type: "radio", name: "card", value: number, checked: index === 0 });
    const row = el("label", { className: "card" }, radio, el("span", { className: "digits" }, grouped(number)), el("span", { className: "does" }, label));
    row.dataset.outcome = outcome;
    return row;
  });
  fieldset.append(...rows);
}

export const chosenCard = (fieldset) => fieldset.querySelector("input:checked").value;

// Runs what a button does, once at a time; says what went wrong where the eye is.
export async function busy(button, error, act) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  error.textContent = "";
  try {
    await act();
  } catch (problem) {
    error.textContent = problem.message;
  } finally {
    button.removeAttribute("aria-busy");
  }
}

// The page has only something to say: it is done, expired, or was never there.
export function tell(title, words, link) {
  const lines = [el("h2", {}, title), el("p", { className: "soft" }, words)];
  if (link) lines.push(el("p", {}, el("a", { className: "button", href: link }, "Go back")));
  $("notice").replaceChildren(...lines);
  $("notice").hidden = false;
}
