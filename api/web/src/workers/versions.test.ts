import { expect, test } from "vitest";
import type { ServerProcess, Worker } from "../api/client";
import { versions } from "./versions";

const worker = (name: string, version: string, state = "online") =>
  ({ name, version, state }) as Worker;
const server = (kind: string, version: string) => ({ kind, version, host: "h" }) as ServerProcess;

test("who is of which version, older ones first", () => {
  const found = versions(
    [worker("a", "0.10.0"), worker("b", "0.9.0"), worker("gone", "0.1.0", "offline")],
    [server("api", "0.9.0"), server("serve", "0.10.0")],
  );
  expect([...found]).toEqual([
    ["0.9.0", ["b", "API on h"]],
    ["0.10.0", ["a", "Model server on h"]],
  ]);
});

test("nobody is of no version", () => {
  expect(versions([], []).size).toBe(0);
});
