// The queue of uploads: three at a time, tried again, and held while nothing can go out.

import { batch, computed, effect, type ReadonlySignal, signal, untracked } from "@preact/signals";
import type { Photo } from "../api/types";
import type { Answer } from "./answers";
import { NOTHING, type Sums, Tally, TOLD_EVERY } from "./tally";
import type { Send } from "./transfer";
import { type Destination, type Status, Upload } from "./upload";

export const AT_ONCE = 3;
export const MOST_ATTEMPTS = 5;
/** More are not taken at a time. */
export const MOST_FILES = 10_000;
const LONGEST_BACKOFF = 30_000;
/** How often it is tried without a network. */
const OFFLINE_PAUSE = 5_000;
/** Why nothing goes out just now. */
export interface Hold {
  kind: "signed-out" | "offline" | "busy";
  words: string;
}

const OFFLINE: Hold = { kind: "offline", words: "Waiting for the connection; goes on by itself." };

export interface UploadContext {
  send: Send;
  /** Darkroom can be asked. */
  isReachable: ReadonlySignal<boolean>;
  /** The browser has a network, as far as it knows: one of this machine's own needs none. */
  isOnline: ReadonlySignal<boolean>;
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
  /** Until when nothing is sent, and then one file alone, until Darkroom takes files again. */
  readonly #paused = signal<(Hold & { until: number }) | null>(null);
  readonly hold = computed<Hold | null>(() => {
    if (this.around.isSignedOut.value) return { kind: "signed-out", words: "Waiting until you are signed in." };
    return this.around.isReachable.value ? this.#paused.value : OFFLINE;
  });

  readonly #waiting = new Set<Upload>();
  readonly #active = new Set<Upload>();
  readonly #tally = new Tally();
  #last = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ticking: ReturnType<typeof setTimeout> | undefined;
  #isDrawing = false;
  readonly #moved = new Set<Upload>();

  constructor(readonly around: UploadContext) {
    effect(() => {
      const canGoOn = around.isReachable.value && !around.isSignedOut.value;
      if (around.isOnline.value && canGoOn) untracked(() => this.#goOn());
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
        this.#tally.add(upload);
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
        this.#set(upload, { at: "canceled" });
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

  /** Takes what is here from the list, and with `all` everything that has ended. */
  clear(all = false): void {
    const isOver = (upload: Upload) => (all ? upload.hasEnded : upload.status.peek().at === "here");
    const over = new Set(this.uploads.peek().filter(isOver));
    for (const upload of over) this.#tally.remove(upload);
    this.uploads.value = this.uploads.peek().filter((upload) => !over.has(upload));
    this.#draw();
  }

  /** What is no picture, the service knows better; but an empty file is plainly none. */
  #enter(upload: Upload): void {
    if (upload.file.size === 0) this.#set(upload, { at: "refused", words: "The file is empty." });
    else this.#waiting.add(upload);
  }

  /** Files that waited for the connection need wait no longer. */
  #goOn(): void {
    for (const upload of this.#waiting) upload.notBefore = 0;
    this.#paused.value = null;
    this.#pump();
  }

  #pump(): void {
    clearTimeout(this.#timer);
    const { isReachable, isSignedOut, now } = this.around;
    if (!isReachable.peek() || isSignedOut.peek()) return;
    const paused = this.#paused.peek();
    if (paused && paused.until > now()) return this.#later(paused.until);
    const most = paused ? 1 : AT_ONCE;
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
    this.#tally.speed.add(0, this.around.now());
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
    if (bytes > upload.sent) this.#tally.speed.add(bytes - upload.sent, this.around.now());
    upload.sent = bytes;
    if (bytes >= upload.file.size && upload.status.peek().at === "sending") this.#set(upload, { at: "checking" });
    this.#moved.add(upload);
    this.#draw();
  }

  #settle(upload: Upload, answer: Answer): void {
    this.#forget(upload);
    const paused = this.#paused.peek();
    // What was sent before the pause says nothing of it.
    const isOver = paused !== null && paused.until <= this.around.now();
    if (isOver && (answer.kind === "here" || answer.kind === "refused")) this.#paused.value = null;
    switch (answer.kind) {
      case "here":
        this.around.onHere(upload, answer.photo);
        // What an earlier attempt brought here is not called a duplicate.
        return this.#set(upload, { at: "here", photo: answer.photo, duplicate: answer.duplicate && !upload.isUncertain });
      case "refused":
        return this.#set(upload, { at: "refused", words: answer.words });
      case "later":
        this.#pause({ kind: "busy", words: `${answer.words} Tried again by itself.` }, answer.seconds * 1_000);
        return this.#wait(upload, null);
      case "signed-out":
        this.#wait(upload, null);
        return this.around.onSignedOut();
      case "broken":
        upload.isUncertain ||= answer.sent;
        return this.#broke(upload, answer.words);
    }
  }

  #pause(hold: Hold, milliseconds: number): void {
    const until = this.around.now() + milliseconds;
    this.#paused.value = { ...hold, until: Math.max(until, this.#paused.peek()?.until ?? 0) };
  }

  /** While Darkroom cannot be reached, attempts do not count. */
  #broke(upload: Upload, words: string): void {
    if (!this.around.isOnline.peek()) this.#pause(OFFLINE, OFFLINE_PAUSE);
    if (!this.around.isOnline.peek() || !this.around.isReachable.peek()) return this.#wait(upload, null);
    upload.attempts += 1;
    if (upload.attempts >= MOST_ATTEMPTS) {
      return this.#set(upload, { at: "failed", words: `${words} Tried ${MOST_ATTEMPTS} times.` });
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

  #set(upload: Upload, status: Status): void {
    this.#tally.move(upload, status);
    upload.status.value = status;
    this.#draw();
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
        const sent = [...this.#active].reduce((sum, upload) => sum + upload.sent, 0);
        this.sums.value = this.#tally.sums(sent, this.around.now());
      });
    });
  }
}
