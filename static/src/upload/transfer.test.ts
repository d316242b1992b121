import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Answer } from "./answers";
import { send } from "./transfer";

/** As far as a transfer needs one. */
class FakeRequest {
  static last: FakeRequest;
  upload: { onprogress?: (event: { loaded: number }) => void; onload?: () => void } = {};
  status = 0;
  responseText = "";
  onload?: () => void;
  onerror?: () => void;
  onabort?: () => void;
  onloadend?: () => void;
  body: FormData | null = null;

  constructor() {
    FakeRequest.last = this;
  }
  open(): void {}
  send(body: FormData): void {
    this.body = body;
  }
  getResponseHeader(): null {
    return null;
  }
  abort(): void {
    this.onabort?.();
    this.onloadend?.();
  }
  answer(status: number, text: string): void {
    this.status = status;
    this.responseText = text;
    this.onload?.();
    this.onloadend?.();
  }
}

const file = new File([new Uint8Array(100)], "a.png");

function begin(what = file): { told: number[]; answer: Promise<Answer>; request: FakeRequest } {
  const told: number[] = [];
  const { answer } = send(what, (bytes) => told.push(bytes));
  return { told, answer, request: FakeRequest.last };
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("XMLHttpRequest", FakeRequest);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("the file is the one part of the form, and no more of it is told than there is", async () => {
  const { told, answer, request } = begin();
  expect([...request.body!.keys()]).toEqual(["file"]);
  request.upload.onprogress!({ loaded: 60 });
  request.upload.onprogress!({ loaded: 290 });
  request.upload.onload!();
  request.answer(201, '{"id": "p", "duplicate": false}');
  expect(told).toEqual([60, 100, 100]);
  expect(await answer).toMatchObject({ kind: "here", duplicate: false });
});

test("one that goes silent is given up, and so is one without an answer", async () => {
  const silent = begin();
  await vi.advanceTimersByTimeAsync(59_000);
  silent.request.upload.onprogress!({ loaded: 10 });
  await vi.advanceTimersByTimeAsync(59_000);
  silent.request.upload.onprogress!({ loaded: 20 });
  await vi.advanceTimersByTimeAsync(61_000);
  expect(await silent.answer).toMatchObject({ kind: "broken", sent: false });
  const unanswered = begin();
  unanswered.request.upload.onload!();
  await vi.advanceTimersByTimeAsync(299_000);
  unanswered.request.abort = vi.fn(unanswered.request.abort);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(unanswered.request.abort).toHaveBeenCalled();
  expect(await unanswered.answer).toMatchObject({ kind: "broken", sent: true });
});

test("a lost connection is told from a file that cannot be read any more", async () => {
  const lost = begin();
  lost.request.onerror!();
  expect(await lost.answer).toMatchObject({ kind: "broken" });
  const gone = new File(["x"], "gone.png");
  gone.slice = () => ({ arrayBuffer: () => Promise.reject(new DOMException("", "NotFoundError")) }) as unknown as Blob;
  const unreadable = begin(gone);
  unreadable.request.onerror!();
  expect(await unreadable.answer).toMatchObject({ kind: "refused", words: expect.stringContaining("cannot be read") });
});
