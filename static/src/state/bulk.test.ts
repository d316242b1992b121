import { expect, test } from "vitest";
import { inTurn } from "./bulk";

function held() {
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  return { end, ended };
}

test("what is sent about a photo waits for what was sent about the same one, and for nothing else", async () => {
  const sent: string[] = [];
  const first = held();
  const send = (name: string, until?: Promise<void>) => () => {
    sent.push(name);
    return until ?? Promise.resolve();
  };
  const answers = [
    inTurn(["a", "b"], null, send("first", first.ended)),
    inTurn(["b"], null, send("same photo")),
    inTurn(["c"], null, send("another photo")),
  ];
  await answers[2];
  expect(sent).toEqual(["first", "another photo"]);
  first.end();
  await Promise.all(answers);
  expect(sent).toEqual(["first", "another photo", "same photo"]);
});

test("what failed keeps nothing from being sent", async () => {
  const failing = inTurn(["a"], null, () => Promise.reject(new Error("no")));
  const next = inTurn(["a"], null, () => Promise.resolve("sent"));
  await expect(failing).rejects.toThrow("no");
  expect(await next).toBe("sent");
});
