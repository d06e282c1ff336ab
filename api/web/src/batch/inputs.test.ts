import { expect, test } from "vitest";
import { inputsOf, portsOf } from "./inputs";

const ports = portsOf({
  threshold: { type: "number", default: 0.5 },
  data: { type: "uri_file" },
  columns: { type: "string", optional: true },
  flag: { type: "boolean", default: false },
});

test("what must be given comes first", () => {
  expect(ports.map(({ name }) => name)).toEqual(["data", "threshold", "columns", "flag"]);
  expect(ports[1]?.given).toBe("0.5");
});

test("what was typed is sent in its type, and what is empty is not", () => {
  expect(inputsOf(ports, { data: "mlq:a@latest", threshold: "0.7", flag: "true" })).toEqual({
    data: "mlq:a@latest",
    threshold: 0.7,
    flag: true,
  });
});
