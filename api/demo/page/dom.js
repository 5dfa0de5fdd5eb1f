// Small tools of the page: make an element, run a button once, say something.

export function el(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

// Writes only what differs, so that a live region speaks of changes alone.
export function put(id, text) {
  const element = document.getElementById(id);
  if (element.textContent !== text) element.textContent = text;
}

const toast = document.getElementById("toast");
let timer;

export function say(text, isError = false) {
  toast.textContent = text;
  toast.classList.toggle("error", isError);
  toast.classList.add("shown");
  clearTimeout(timer);
  timer = setTimeout(() => toast.classList.remove("shown"), 4_500);
}

export const sorry = (error) => say(error.message, true);

// Runs what a button does, one at a time of those that share a lock. The button keeps the focus, so it is marked,
// not disabled.
export async function busy(lock, act) {
  if (lock.getAttribute("aria-busy") === "true") return;
  lock.setAttribute("aria-busy", "true");
  await act().catch(sorry);
  lock.removeAttribute("aria-busy");
}
