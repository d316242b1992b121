import { loadEnv } from "vite";
import { defineConfig } from "vitest/config";

export default defineConfig(({ mode }) => {
  const service = loadEnv(mode, ".", "DARKROOM_").DARKROOM_DEV_SERVICE ?? "http://127.0.0.1:8000";
  return {
    oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
    // The service names what the page is made of by whole addresses, below the base that it is told.
    base: "./",
    // Files of tests share workers: one worker for each file took seven of ten seconds.
    test: { setupFiles: ["src/vitest-setup.ts"], isolate: false },
    build: { target: ["chrome123", "firefox120", "safari17.5"], assetsInlineLimit: 0 },
    server: {
      // The service accepts only its own origin, so the proxy speaks in its name.
      proxy: {
        "/api": { target: service, ws: true, changeOrigin: true, headers: { origin: service } },
        "/health": { target: service, changeOrigin: true },
      },
    },
  };
});
