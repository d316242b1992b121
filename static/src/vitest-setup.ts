import { vi } from "vitest";

/** Where the page under test was loaded from. */
vi.stubGlobal("location", new URL("http://darkroom.test/"));
