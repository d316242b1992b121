import { batch, computed, effect, type ReadonlySignal, signal, untracked } from "@preact/signals";
import type { Photo } from "../api/types";
import type { Answer } from "./answers";
import { Speed, secondsFor } from "./speed";
import type { Send } from "./transfer";
import { type Destination, type Status, Upload } from "./upload";

export const AT_ONCE = 3;
export const MOST_ATTEMPTS = 5;
/** More are not taken at a time. */
export const MOST_FILES = 10_000;
const LONGEST_BACKOFF = 30_000;
/** How often speed and time left are told anew. */
const TOLD_EVERY = 1_000;

export interface Sums {
  /** Files. */
  all: number;
  here: number;
  duplicates: number;
  refused: number;
  failed: number;
  canceled: number;
  /** Waiting or under way. */
  unfinished: number;
  /** Of all bytes that are not canceled; null where there are none. */
  portion: number | null;
  /** Bytes in a second. */
  speed: number | null;
  secondsLeft: number | null;
}

const NOTHING: Sums = {
  all: 0,
  here: 0,
  duplicates: 0,
  refused: 0,
  failed: 0,
  canceled: 0,
  unfinished: 0,
  portion: null,
  speed: null,
  secondsLeft: null,
};

/** Why nothing goes out just now. */
export interface Hold {
  kind: "signed-out" | "offline" | "busy";
  words: string;
}

interface Surroundings {
  send: Send;
  /** Darkroom can be asked. */
  isReachable: ReadonlySignal<boolean>;
  isSignedOut: ReadonlySignal<boolean>;
  onHere: (upload: Upload, photo: Photo) => void;
  /** An upload was refused for want of the password. */
  onSignedOut: () => void;
  /** Called before the next frame is drawn. */
  frame: (draw: () => void) => void;
  now: () => number;
}

function backoff(attempts: number): number {
  return Math.min(LONGEST_BACKOFF, 1_000 * 2 ** (attempts - 1));
}

/** Files on their way to Darkroom: a few at once, in order; what must be repeated goes to the end. */
export class UploadQueue {
  readonly uploads = signal<readonly Upload[]>([]);
  readonly sums = signal<Sums>(NOTHING);
  readonly #busy = signal<{ words: string; until: number } | null>(null);
  readonly hold = computed<Hold | null>(() => {
    if (this.around.isSignedOut.value) return { kind: "signed-out", words: "Waiting until you are signed in." };
    if (!this.around.isReachable.value) return { kind: "offline", words: "Waiting for the connection; goes on by itself." };
    const busy = this.#busy.value;
    return busy && { kind: "busy", words: `${busy.words} Tried again by itself.` };
  });

  readonly #waiting = new Set<Upload>();
  readonly #active = new Set<Upload>();
  readonly #counts = new Map<Status["at"], number>();
  #duplicates = 0;
  #bytes = { all: 0, ended: 0, canceled: 0 };
  #last = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ticking: ReturnType<typeof setTimeout> | undefined;
  #isDrawing = false;
  readonly #moved = new Set<Upload>();
  readonly #speed = new Speed();
  #told = { at: -TOLD_EVERY, speed: null as number | null, secondsLeft: null as number | null };

  constructor(readonly around: Surroundings) {
    effect(() => {
      const canGoOn = around.isReachable.value && !around.isSignedOut.value;
      if (canGoOn) untracked(() => this.#goOn());
    });
  }

  /** Waiting or under way. */
  get unfinished(): number {
    return this.#waiting.size + this.#active.size;
  }

  /** How many of them were taken: the first, up to what the queue holds. */
  add(files: readonly File[], destination: Destination | null = null): number {
    const taken = files.slice(0, Math.max(0, MOST_FILES - this.uploads.peek().length));
    const fresh = taken.map((file) => new Upload(++this.#last, file, destination));
    batch(() => {
      this.uploads.value = [...this.uploads.peek(), ...fresh];
      for (const upload of fresh) {
        this.#bytes.all += upload.file.size;
        this.#count("waiting", 1);
        this.#enter(upload);
      }
    });
    this.#draw();
    this.#pump();
    return fresh.length;
  }

  cancel(...uploads: readonly Upload[]): void {
    batch(() => {
      for (const upload of uploads) {
        if (upload.hasEnded) continue;
        this.#waiting.delete(upload);
        this.#active.delete(upload);
        const { transfer } = upload;
        upload.transfer = null;
        this.#forget(upload);
        this.#end(upload, { at: "canceled" });
        transfer?.abort();
      }
    });
    this.#pump();
  }

  cancelAll(): void {
    this.cancel(...this.#waiting, ...this.#active);
  }

  retry(...uploads: readonly Upload[]): void {
    batch(() => {
      for (const upload of uploads) {
        const { at } = upload.status.peek();
        if (at !== "refused" && at !== "failed" && at !== "canceled") continue;
        this.#bytes.ended -= upload.file.size;
        if (at === "canceled") this.#bytes.canceled -= upload.file.size;
        upload.attempts = upload.notBefore = 0;
        this.#set(upload, { at: "waiting", words: null });
        this.#enter(upload);
      }
    });
    this.#pump();
  }

  /** What failed or was canceled; what was refused would be refused again. */
  retryAll(): void {
    this.retry(...this.uploads.peek().filter(({ status }) => status.peek().at === "failed" || status.peek().at === "canceled"));
  }

  /** Takes what is here, and with `all` whatever has ended, from the list. */
  clear(all = false): void {
    const isOver = (upload: Upload) => (all ? upload.hasEnded : upload.status.peek().at === "here");
    const over = new Set(this.uploads.peek().filter(isOver));
    for (const upload of over) {
      const status = upload.status.peek();
      this.#count(status.at, -1);
      if (status.at === "here" && status.duplicate) this.#duplicates -= 1;
      this.#bytes.all -= upload.file.size;
      this.#bytes.ended -= upload.file.size;
      if (status.at === "canceled") this.#bytes.canceled -= upload.file.size;
    }
    this.uploads.value = this.uploads.peek().filter((upload) => !over.has(upload));
    this.#draw();
  }

  /** What is no picture, the service knows better; but an empty file is plainly none. */
  #enter(upload: Upload): void {
    if (upload.file.size === 0) this.#end(upload, { at: "refused", words: "The file is empty." });
    else this.#waiting.add(upload);
  }

  /** Whatever waited for the connection need wait no longer. */
  #goOn(): void {
    for (const upload of this.#waiting) upload.notBefore = 0;
    this.#busy.value = null;
    this.#pump();
  }

  #pump(): void {
    clearTimeout(this.#timer);
    const { isReachable, isSignedOut, now } = this.around;
    if (!isReachable.peek() || isSignedOut.peek()) return;
    const busy = this.#busy.peek();
    if (busy && busy.until > now()) return this.#later(busy.until);
    // One alone finds out whether Darkroom takes files again.
    const most = busy ? 1 : AT_ONCE;
    while (this.#active.size < most) {
      const next = this.#next();
      if (!next) break;
      void this.#start(next);
    }
    if (this.#active.size < most && this.#waiting.size > 0) {
      this.#later(Math.min(...[...this.#waiting].map(({ notBefore }) => notBefore)));
    }
  }

  #next(): Upload | undefined {
    const now = this.around.now();
    for (const upload of this.#waiting) if (upload.notBefore <= now) return upload;
    return undefined;
  }

  #later(at: number): void {
    this.#timer = setTimeout(() => this.#pump(), Math.max(0, at - this.around.now()));
  }

  async #start(upload: Upload): Promise<void> {
    this.#waiting.delete(upload);
    this.#active.add(upload);
    this.#speed.add(0, this.around.now());
    const transfer = this.around.send(upload.file, (bytes) => {
      if (upload.transfer === transfer) this.#sent(upload, bytes);
    });
    upload.transfer = transfer;
    this.#set(upload, { at: "sending" });
    const answer = await transfer.answer;
    // Canceled: the answer came too late.
    if (upload.transfer !== transfer) return;
    upload.transfer = null;
    this.#active.delete(upload);
    this.#settle(upload, answer);
    this.#pump();
  }

  #sent(upload: Upload, bytes: number): void {
    if (bytes > upload.sent) this.#speed.add(bytes - upload.sent, this.around.now());
    upload.sent = bytes;
    if (bytes >= upload.file.size && upload.status.peek().at === "sending") this.#set(upload, { at: "checking" });
    this.#moved.add(upload);
    this.#draw();
  }

  #settle(upload: Upload, answer: Answer): void {
    this.#forget(upload);
    const now = this.around.now();
    const busy = this.#busy.peek();
    // What was sent before says nothing of it.
    if (busy && busy.until <= now && (answer.kind === "here" || answer.kind === "refused")) this.#busy.value = null;
    switch (answer.kind) {
      case "here":
        this.around.onHere(upload, answer.photo);
        // What an earlier attempt brought here is not called a duplicate.
        return this.#end(upload, { at: "here", photo: answer.photo, duplicate: answer.duplicate && !upload.isUncertain });
      case "refused":
        return this.#end(upload, { at: "refused", words: answer.words });
      case "later":
        this.#busy.value = { words: answer.words, until: Math.max(busy?.until ?? 0, now + answer.seconds * 1_000) };
        return this.#wait(upload, null);
      case "signed-out":
        this.#wait(upload, null);
        return this.around.onSignedOut();
      case "broken":
        upload.isUncertain ||= answer.sent;
        return this.#broke(upload, answer.words);
    }
  }

  /** While Darkroom cannot be reached, attempts do not count. */
  #broke(upload: Upload, words: string): void {
    if (!this.around.isReachable.peek()) return this.#wait(upload, words);
    upload.attempts += 1;
    if (upload.attempts >= MOST_ATTEMPTS) {
      return this.#end(upload, { at: "failed", words: `${words} Tried ${MOST_ATTEMPTS} times.` });
    }
    upload.notBefore = this.around.now() + backoff(upload.attempts);
    this.#wait(upload, `${words} Tried again by itself.`);
  }

  #wait(upload: Upload, words: string | null): void {
    this.#waiting.add(upload);
    this.#set(upload, { at: "waiting", words });
  }

  /** What of an attempt went out counts no longer. */
  #forget(upload: Upload): void {
    upload.sent = 0;
    this.#moved.add(upload);
  }

  #end(upload: Upload, status: Status): void {
    this.#bytes.ended += upload.file.size;
    if (status.at === "canceled") this.#bytes.canceled += upload.file.size;
    if (status.at === "here" && status.duplicate) this.#duplicates += 1;
    this.#set(upload, status);
    if (this.unfinished === 0) this.#speed.reset();
  }

  #set(upload: Upload, status: Status): void {
    this.#count(upload.status.peek().at, -1);
    this.#count(status.at, 1);
    upload.status.value = status;
    this.#draw();
  }

  #count(at: Status["at"], by: number): void {
    this.#counts.set(at, (this.#counts.get(at) ?? 0) + by);
  }

  /** Progress comes far more often than anybody can see it. */
  #draw(): void {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    this.around.frame(() => {
      this.#isDrawing = false;
      clearTimeout(this.#ticking);
      // Also while nothing goes out.
      if (this.unfinished > 0) this.#ticking = setTimeout(() => this.#draw(), TOLD_EVERY);
      batch(() => {
        for (const upload of this.#moved) upload.shown.value = upload.sent;
        this.#moved.clear();
        this.sums.value = this.#add();
      });
    });
  }

  #add(): Sums {
    const of = (at: Status["at"]) => this.#counts.get(at) ?? 0;
    const now = this.around.now();
    const sent = [...this.#active].reduce((sum, upload) => sum + upload.sent, 0);
    const wanted = this.#bytes.all - this.#bytes.canceled;
    const done = this.#bytes.ended - this.#bytes.canceled + sent;
    if (this.unfinished === 0) this.#told = { at: now - TOLD_EVERY, speed: null, secondsLeft: null };
    else if (now - this.#told.at >= TOLD_EVERY) {
      const speed = this.#speed.at(now);
      this.#told = { at: now, speed, secondsLeft: secondsFor(wanted - done, speed) };
    }
    return {
      all: this.uploads.peek().length,
      here: of("here"),
      duplicates: this.#duplicates,
      refused: of("refused"),
      failed: of("failed"),
      canceled: of("canceled"),
      unfinished: this.unfinished,
      portion: wanted > 0 ? Math.min(1, Math.max(0, done / wanted)) : null,
      speed: this.#told.speed,
      secondsLeft: this.#told.secondsLeft,
    };
  }
}
