import { defineConfig } from "vite";

const MOCK = "http://127.0.0.1:8090";

export default defineConfig({
  server: { proxy: { "/api": MOCK, "/mock": MOCK } },
  build: {
    target: ["chrome123", "firefox120", "safari17.5"],
    // A data: address would break `default-src 'self'`.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
});
