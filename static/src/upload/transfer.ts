// One attempt to upload a file.

import { below } from "../lib/base";
import { type Answer, readAnswer } from "./answers";

/** One attempt under way. */
export interface Transfer {
  answer: Promise<Answer>;
  abort: () => void;
}

/** Sends a file; `onSent` hears how many of its bytes have gone out. */
export type Send = (file: File, onSent: (bytes: number) => void) => Transfer;

/** Nothing has gone out for so long. */
const SILENT_MS = 60_000;
/** Until the answer, once everything has been sent: large pictures are decoded one after the other. */
const ANSWER_MS = 300_000;

const LOST = "The connection was lost.";
const UNREADABLE = "The file cannot be read. It was moved, changed or deleted.";

/** With XMLHttpRequest: `fetch` does not tell how much of a body has been sent. */
export const send: Send = (file, onSent) => {
  const request = new XMLHttpRequest();
  let timer: ReturnType<typeof setTimeout>;
  let sent = false;
  const expectWithin = (milliseconds: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => request.abort(), milliseconds);
  };
  const answer = new Promise<Answer>((settle) => {
    const lost = async () => {
      const canRead = await file
        .slice(0, 1)
        .arrayBuffer()
        .then(() => true)
        .catch(() => false);
      settle(canRead ? { kind: "broken", words: LOST, sent } : { kind: "refused", words: UNREADABLE });
    };
    request.upload.onprogress = ({ loaded }) => {
      expectWithin(SILENT_MS);
      // The form around the file is counted too.
      onSent(Math.min(file.size, loaded));
    };
    request.upload.onload = () => {
      sent = true;
      expectWithin(ANSWER_MS);
      onSent(file.size);
    };
    request.onload = () => settle(readAnswer(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    request.onerror = () => void lost();
    request.onabort = () => settle({ kind: "broken", words: LOST, sent });
    request.onloadend = () => clearTimeout(timer);
    const form = new FormData();
    form.append("file", file, file.name);
    request.open("POST", below("/api/v1/photos"));
    expectWithin(SILENT_MS);
    request.send(form);
  });
  return { answer, abort: () => request.abort() };
};
