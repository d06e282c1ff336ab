import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Addresses in the files are relative: the server knows the prefix it lives under, the build does not.
export default defineConfig({
  base: "./",
  plugins: [react()],
  build: { outDir: "../mlq_api/static", emptyOutDir: true, target: "es2022" },
});
