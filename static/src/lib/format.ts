// Numbers, times and texts as the page says them.

const numbers = new Intl.NumberFormat();

export function count(value: number, one: string, many = `${one}s`): string {
  return `${numbers.format(value)} ${value === 1 ? one : many}`;
}

/** What was made before Darkroom watched a server is not mirrored. */
export function olderImages(many: number): string {
  return `${count(many, "older image")} ${many === 1 ? "stays" : "stay"} in InvokeAI; Import brings ${many === 1 ? "it" : "them"} later`;
}

/** "1 star", "3 stars". */
export function starsWords(rating: number): string {
  return count(rating, "star");
}

export function number(value: number): string {
  return numbers.format(value);
}

export function bytes(value: number): string {
  if (value < 1_000) return `${value} B`;
  if (value < 1_000_000) return `${Math.round(value / 1_000)} KB`;
  if (value < 1_000_000_000) return `${(value / 1_000_000).toFixed(1)} MB`;
  return `${(value / 1_000_000_000).toFixed(1)} GB`;
}

/** "6 s", "1 min 20 s", "2 h 5 min". */
export function duration(seconds: number): string {
  const whole = Math.max(1, Math.ceil(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  const minutes = Math.round((whole % 3600) / 60);
  return `${Math.floor(whole / 3600)} h${minutes ? ` ${minutes} min` : ""}`;
}

/** "40 s", "6 min", "2 h 5 min", "3 days": a time that goes on, in units that do not change every moment. */
export function lasting(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole >= 2 * 86_400) return `${Math.floor(whole / 86_400)} days`;
  const minutes = Math.floor((whole % 3600) / 60);
  return `${Math.floor(whole / 3600)} h${minutes ? ` ${minutes} min` : ""}`;
}

const CENT = 0.01;
const amounts = dollars(2);
const rates = dollars(3);

function dollars(maximumFractionDigits: number): Intl.NumberFormat {
  return new Intl.NumberFormat(undefined, {
    style: "currency",
    currency: "USD",
    currencyDisplay: "narrowSymbol",
    minimumFractionDigits: 2,
    maximumFractionDigits,
  });
}

/** "$1.38"; what is less than a cent is not called nothing. */
export function money(value: number): string {
  return value > 0 && value < CENT ? `under ${amounts.format(CENT)}` : amounts.format(value);
}

/** "$0.69/h". */
export function hourly(value: number): string {
  return `${value > 0 && value < CENT / 10 ? `under ${rates.format(CENT / 10)}` : rates.format(value)}/h`;
}

const thisYear = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const otherYear = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** The reader's own calendar day, as a key that sorts. */
export function dayKey(iso: string): string {
  const day = new Date(iso);
  return `${day.getFullYear()}-${String(day.getMonth() + 1).padStart(2, "0")}-${String(day.getDate()).padStart(2, "0")}`;
}

/** "Today", "Yesterday", "Sunday 22 November". */
export function dayName(key: string, now = new Date()): string {
  const [year, month, day] = key.split("-").map(Number) as [number, number, number];
  const that = new Date(year, month - 1, day);
  const today = new Date(now.getFullYear(), now.getMonth(), now.getDate());
  const days = Math.round((today.getTime() - that.getTime()) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return (year === now.getFullYear() ? thisYear : otherYear).format(that);
}

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** The time of day, to the second. */
export function clockTime(iso: string): string {
  return clock.format(new Date(iso));
}

const hourAndMinute = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });

/** The time of day alone where it is today's, else with its date. */
export function timeToday(iso: string, now: number): string {
  const isToday = dayKey(iso) === dayKey(new Date(now).toISOString());
  return isToday ? hourAndMinute.format(new Date(iso)) : dateTime(iso);
}

export function dateTime(iso: string): string {
  return moment.format(new Date(iso));
}

/** "just now", "4 min ago", "5 h ago", "2 days ago", "Nov 2, 2026". */
export function ago(iso: string, now = Date.now()): string {
  const seconds = (now - Date.parse(iso)) / 1000;
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  const days = Math.floor(seconds / 86_400);
  return days < 14 ? `${count(days, "day")} ago` : date.format(new Date(iso));
}

const BASES: Record<string, string> = {
  "sd-1": "SD 1",
  "sd-2": "SD 2",
  "sd-3": "SD 3",
  sdxl: "SDXL",
  "sdxl-refiner": "SDXL refiner",
  flux: "FLUX",
};

/** A model base as its users write it. */
export function baseName(base: string): string {
  return BASES[base] ?? base;
}

const LONGEST = 48;

/** Cut between words, if there is one to cut before the last third. */
export function shorten(text: string, longest = LONGEST): string {
  const letters = [...text];
  if (letters.length <= longest) return text;
  const cut = letters.slice(0, longest - 1).join("");
  const words = /[\s,.;:]/.test(letters[longest - 1]!) ? cut : cut.replace(/\s+\S*$/, "");
  const whole = words.length >= cut.length * 0.6 ? words : cut;
  return `${whole.replace(/[\s,.;:–-]+$/, "")}…`;
}

/** The words of any failure, fit to be shown. */
export function reasonOf(failure: unknown): string {
  return failure instanceof Error && failure.message ? failure.message : "Something went wrong.";
}
