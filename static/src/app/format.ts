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
