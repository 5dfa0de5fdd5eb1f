// The machine's names in plain words, and times and money as people read them.

export const STATES = {
  none: "No subscription",
  incomplete: "Incomplete",
  incomplete_expired: "Incomplete, expired",
  trialing: "Trialing",
  active: "Active",
  past_due: "Past due",
  unpaid: "Unpaid",
  paused: "Paused",
  canceled: "Canceled",
};

export const REASONS = {
  trialing: "The trial is running.",
  paid: "The current period is paid.",
  grace_period: "A payment failed, and the grace period is running.",
  ending: "It will end, and is paid until then.",
  grant: "An operator has granted it.",
  none: "There is no subscription yet.",
  incomplete: "The first payment is not done.",
  expired: "The first payment was never made.",
  payment_failed: "A payment failed, and the grace period is over.",
  unpaid: "Every retry of the payment failed.",
  paused: "The subscription is paused.",
  collection_paused: "Collecting payments is paused.",
  canceled: "The subscription has ended.",
};

export const OUTCOMES = {
  unchanged: "says what is known already",
  stale: "older than what is known",
  pending: "Stripe is asked",
  ignored: "not about this subscription",
  unlinked: "no user is known for it yet",
  failed: "given up, kept for a replay",
};

// Green, amber, red, or no lamp at all: what the signal shows.
export function tone(subscription) {
  if (subscription.state === "none") return "off";
  if (!subscription.access.granted) return "stop";
  return ["grace_period", "ending"].includes(subscription.access.reason) ? "caution" : "go";
}

const DAY = { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" };
const MINUTE = { ...DAY, weekday: "short", hour: "2-digit", minute: "2-digit" };

export const day = (iso) => (iso ? new Intl.DateTimeFormat("en-GB", DAY).format(new Date(iso)) : "–");

export const minute = (iso) => new Intl.DateTimeFormat("en-GB", MINUTE).format(new Date(iso)) + " UTC";

export function moment(iso) {
  const format = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
  return format.format(new Date(iso)).replace(",", "");
}

export function distance(iso, now) {
  const hours = (new Date(iso) - now) / 3_600_000;
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  return Math.abs(hours) < 36 ? words.format(Math.round(hours), "hour") : words.format(Math.round(hours / 24), "day");
}

export function money(amount, currency) {
  if (amount == null || !currency) return "";
  const format = new Intl.NumberFormat("en", { style: "currency", currency, trailingZeroDisplay: "stripIfInteger" });
  return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
}

const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;

export function tally(events, deliveries, duplicates) {
  if (!deliveries) return "Each event is decided once, however often it comes.";
  const came = `${count(events, "event", "events")} in ${count(deliveries, "delivery", "deliveries")}`;
  return `${came}: ${duplicates ? `${count(duplicates, "duplicate", "duplicates")} recognised` : "each came once"}.`;
}
