import { describe, expect, it } from "vitest";
import type { Backend } from "../api/types";
import { argumentsOf, flawOf, notNumbers, podBody, podFormOf, proxyAddress } from "./pod-form";

const fresh = podFormOf(null);

describe("arguments", () => {
  it("are one of each line, with their spaces and quotes, without those around", () =>
    expect(argumentsOf('ssh\r\n me@studio \n\nsay "a b"\n')).toEqual(["ssh", "me@studio", 'say "a b"']));

  it("that were not changed stay as they are, also where a line cannot show them", () => {
    const odd = ["sh", "", " two words ", "two\nlines"];
    expect(argumentsOf(odd.join("\n"), odd)).toEqual(odd);
  });
});

describe("what is sent of a pod", () => {
  const api_url = "https://api.runpod.io/v2";

  it("that is new is what was filled in", () => {
    const form = { ...fresh, podId: " abc ", apiKey: "rpa_1", idleMinutes: "0,5" };
    const provider = { api_key: "rpa_1", pod_id: "abc", port: 9090, api_url };
    expect(podBody("runpod", form, undefined)).toEqual({ idle_minutes: 0.5, autostart: true, provider });
    expect(podBody("runpod", { ...form, apiKey: "", podId: "" }, undefined).provider).toEqual({ port: 9090, api_url });
    expect(podBody("command", { ...fresh, start: "a\nb", cost: "0.25" }, undefined).provider).toEqual({
      start: ["a", "b"],
      cost_per_hour: 0.25,
    });
  });

  it("that is stored is what was changed: neither the api key nor the commands are given again", () => {
    const pod = { kind: "runpod", pod_id: "abc", port: 9090, api_url } as const;
    const form = podFormOf({ pod: { provider: pod, idle_minutes: 3, autostart: false } } as unknown as Backend);
    expect(podBody("runpod", form, pod)).toEqual({ idle_minutes: 3, autostart: false });
    expect(podBody("runpod", { ...form, port: "8080" }, pod).provider).toEqual({ port: 8080 });
    const commands = { kind: "command", start: ["a", "b"], stop: ["c"], status: ["d"], cost_per_hour: 1.5 } as const;
    const told = { ...commands, start: [...commands.start], stop: [...commands.stop], status: [...commands.status] };
    const lines = podFormOf({ pod: { provider: told, idle_minutes: 3, autostart: false } } as unknown as Backend);
    expect(podBody("command", lines, told)).toEqual({ idle_minutes: 3, autostart: false });
    expect(podBody("command", { ...lines, cost: "", stop: "c\nnow" }, told).provider).toEqual({
      stop: ["c", "now"],
      cost_per_hour: null,
    });
  });
});

describe("what is wrong", () => {
  it("is shown at its field, by the words of the service", () => {
    expect(flawOf("There is no such pod.", { field: "provider.pod_id" })).toEqual({
      field: "provider.pod_id",
      words: "There is no such pod.",
    });
    expect(flawOf("provider.pod_id: no such pod", { field: "provider.pod_id" })?.words).toBe("no such pod");
    expect(flawOf("provider.port: Expected `int` <= 65535", null)).toEqual({
      field: "provider.port",
      words: "Expected `int` <= 65535",
    });
    expect(flawOf("provider.start[2]: Expected `str`", null)?.field).toBe("provider.start");
    expect(flawOf("Darkroom does not answer.", null)).toBeNull();
    expect(flawOf("name: too long", { field: "name" })).toBeNull();
  });

  it("is a number that is none", () => {
    expect(notNumbers("runpod", { ...fresh, port: "http" })?.field).toBe("provider.port");
    expect(notNumbers("command", { ...fresh, port: "http", cost: "free" })?.field).toBe("provider.cost_per_hour");
    expect(notNumbers("command", { ...fresh, idleMinutes: "" })?.field).toBe("idle_minutes");
    expect(notNumbers("runpod", fresh)).toBeNull();
  });
});

it("a pod's address follows its id and port", () =>
  expect(proxyAddress({ podId: "abc", port: "" })).toBe("https://abc-9090.proxy.runpod.net"));
