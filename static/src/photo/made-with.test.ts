import { expect, it } from "vitest";
import { libraryOf, madeWithIn } from "./made-with";

it("is in the address of the library as the service has it", () => {
  const address = libraryOf({ model: ["a key", "Hills & dunes/v2"], lora: null });
  expect(address).toBe("/?model=a+key&model=Hills+%26+dunes%2Fv2");
  expect(madeWithIn(new URLSearchParams(address.slice(2)))).toEqual({ model: ["a key", "Hills & dunes/v2"], lora: null });
  expect(madeWithIn(new URLSearchParams("lora=mist"))).toEqual({ model: null, lora: ["mist"] });
});

it("is nothing where no model is named", () => {
  expect(madeWithIn(new URLSearchParams("q=hills&model="))).toBeNull();
});
