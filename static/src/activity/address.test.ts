import { describe, expect, it } from "vitest";
import { atUsualPort, parseAddress } from "./address";

describe("what is typed or pasted as an address", () => {
  it.each([
    ["http://192.168.1.20:9090", ["http://192.168.1.20:9090"]],
    ["  https://pod.example/ \n", ["https://pod.example"]],
    ["<http://gpu:9090>", ["http://gpu:9090"]],
    ["http://http://192.168.1.20:9090", ["http://192.168.1.20:9090"]],
    ["HTTP://GPU:9090/", ["http://gpu:9090"]],
    ["http://gpu:9090/app", ["http://gpu:9090/app", "http://gpu:9090"]],
    ["http://gpu:9090/app/?tab=1#canvas", ["http://gpu:9090/app", "http://gpu:9090"]],
    ["192.168.1.20:9090", ["http://192.168.1.20:9090", "https://192.168.1.20:9090"]],
    ["localhost:9090/", ["http://localhost:9090", "https://localhost:9090"]],
    ["[::1]:9090", ["http://[::1]:9090", "https://[::1]:9090"]],
    ["pod.example:443", ["https://pod.example"]],
    ["pod.example:80", ["http://pod.example", "https://pod.example:80"]],
    ["gpu-box", ["http://gpu-box:9090", "https://gpu-box", "http://gpu-box"]],
    ["pod.example/invoke/", ["https://pod.example/invoke", "http://pod.example/invoke", "http://pod.example:9090"]],
  ])("%j may be %j", (text, candidates) => {
    expect(parseAddress(text)).toEqual({ candidates, problem: null });
  });

  it.each([
    ["", /Type or paste/],
    ["   ", /Type or paste/],
    ["http://", /no address/],
    ["my gpu", /no address/],
    ["gpu:99999", /no address/],
    ["ws://gpu:9090", /not with ws/],
    ["http://me:secret@gpu:9090", /login/],
  ])("%j is refused in a sentence", (text, words) => {
    expect(parseAddress(text).problem).toMatch(words);
  });

  it("has InvokeAI's own port beside it where it has another", () => {
    expect(atUsualPort("https://gpu:9091/app")).toBe("http://gpu:9090");
    expect(atUsualPort("http://gpu")).toBe("http://gpu:9090");
    expect(atUsualPort("http://gpu:9090")).toBeNull();
  });
});
