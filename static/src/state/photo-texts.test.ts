import { beforeEach, expect, test, vi } from "vitest";

const asked = vi.fn<(request: Request) => Promise<Response>>();
vi.stubGlobal("fetch", asked);
const { draftOf, dropText, saveText, showText, typeText } = await import("./photo-texts");
const { getPhoto, putPhoto } = await import("./photos");
const { toasts } = await import("../lib/toasts");

type Photo = Parameters<typeof putPhoto>[0];

const JSON_TYPE = { headers: { "Content-Type": "application/json" } };

function answerWithWhatWasAsked(): void {
  asked.mockImplementation(async (request) => {
    const photo = { ...getPhoto("a")!.peek(), ...((await request.json()) as Partial<Photo>) };
    return new Response(JSON.stringify(photo), JSON_TYPE);
  });
}

function refuse(message: string): void {
  const error = { code: "validation_error", message };
  asked.mockImplementation(async () => new Response(JSON.stringify({ error }), { status: 400, ...JSON_TYPE }));
}

const caption = () => getPhoto("a")?.peek().caption;

beforeEach(() => {
  asked.mockReset();
  toasts.value = [];
  putPhoto({ id: "a", caption: "before", filename: "a.png" } as Photo);
  dropText("a", "caption");
  dropText("a", "filename");
});

test("what was typed is saved once, though it is left in two ways", async () => {
  answerWithWhatWasAsked();
  const hide = showText("a", "caption");
  typeText("a", "caption", " after ");
  const saved = saveText("a", "caption");
  hide();
  await saved;
  expect(asked).toHaveBeenCalledTimes(1);
  expect(caption()).toBe("after");
  expect(draftOf("a", "caption")).toBeUndefined();
});

test("what was not changed, and a file without a name, is not sent", async () => {
  typeText("a", "caption", "before ");
  await saveText("a", "caption");
  typeText("a", "filename", " ");
  await saveText("a", "filename");
  expect(asked).not.toHaveBeenCalled();
  expect(draftOf("a", "filename")).toBeUndefined();
});

test("what is typed while the words before are on their way stays", async () => {
  answerWithWhatWasAsked();
  typeText("a", "caption", "one");
  const saved = saveText("a", "caption");
  typeText("a", "caption", "one two");
  await saved;
  expect(caption()).toBe("one");
  expect(draftOf("a", "caption")?.text).toBe("one two");
});

test("what was refused stays with the reason, at its field or in a message", async () => {
  refuse("filename: must be a name");
  const hide = showText("a", "filename");
  typeText("a", "filename", "../b.png");
  await saveText("a", "filename");
  expect(draftOf("a", "filename")).toEqual({ text: "../b.png", error: "Must be a name." });
  expect(getPhoto("a")?.peek().filename).toBe("a.png");
  expect(toasts.value).toEqual([]);
  hide();
  await vi.waitUntil(() => toasts.value.length > 0);
  expect(toasts.value[0]?.text).toBe("File name not saved: “../b.png”. Must be a name.");
});
