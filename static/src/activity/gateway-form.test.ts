import { expect, test } from "vitest";
import { gatewayBody, NO_GATEWAY, repeatedHeader, withHeader, withoutHeader } from "./gateway-form";

test("only what was typed is told", () => {
  expect(gatewayBody(NO_GATEWAY)).toBeNull();
  expect(gatewayBody({ ...NO_GATEWAY, forget: true })).toBeNull();
  expect(gatewayBody({ ...NO_GATEWAY, password: " kept as typed " })).toEqual({ password: " kept as typed " });
  const headers = [
    { name: " X-Key ", value: " one " },
    { name: "", value: "" },
  ];
  expect(gatewayBody({ ...NO_GATEWAY, username: "me", headers, authority: "\nPEM \n" })).toEqual({
    username: "me",
    headers: { "X-Key": "one" },
    ca_pem: "PEM\n",
  });
});

test("there is always one empty row, at the end", () => {
  const one = withHeader(NO_GATEWAY.headers, 0, { name: "A" });
  expect(one).toEqual([
    { name: "A", value: "" },
    { name: "", value: "" },
  ]);
  const two = withHeader(one, 1, { value: "b" });
  expect(two).toHaveLength(3);
  expect(withoutHeader(two, 0)).toEqual([
    { name: "", value: "b" },
    { name: "", value: "" },
  ]);
  expect(withoutHeader(NO_GATEWAY.headers, 0)).toEqual(NO_GATEWAY.headers);
});

test("the row that is typed into stays while it is emptied", () => {
  const one = withHeader(NO_GATEWAY.headers, 0, { name: "A" });
  expect(withHeader(one, 0, { name: "" })[0]).toEqual({ name: "", value: "" });
});

test("a name that is typed twice is found, whatever its case", () => {
  const headers = ["X-Key", "", "x-key", ""].map((name) => ({ name, value: "v" }));
  expect(repeatedHeader({ ...NO_GATEWAY, headers })).toBe("x-key");
  expect(repeatedHeader(NO_GATEWAY)).toBeNull();
});
