import { expect, test } from "vitest";
import type { LogChunk } from "../api/client";
import { appendChunk, findError, type LogLine } from "./log";

function chunk(id: number, content: string, path = "train"): LogChunk {
  return {
    id,
    job_id: "j",
    path,
    attempt: 1,
    stream: "stdout",
    content,
    at: "2026-01-01T00:00:00Z",
  };
}

function read(...chunks: LogChunk[]): LogLine[] {
  return chunks.reduce<LogLine[]>((lines, one) => appendChunk(lines, one, 100), []);
}

test("a line that comes in pieces is one line", () => {
  const lines = read(chunk(1, "epoch 1\nepo"), chunk(2, "ch 2\n"));
  expect(lines.map((line) => line.text)).toEqual(["epoch 1", "epoch 2"]);
});

test("pieces of another step in between do not mix", () => {
  const lines = read(chunk(1, "on"), chunk(2, "other\n", "prep"), chunk(3, "e\n"));
  expect(lines.map((line) => line.text)).toEqual(["one", "other"]);
});

test("of a progress bar the last state is kept", () => {
  expect(read(chunk(1, "10 %\r50 %\r100 %\n"))[0]?.text).toBe("100 %");
});

test("windows line ends do not empty a line", () => {
  expect(read(chunk(1, "done\r\n"))[0]?.text).toBe("done");
});

test("the oldest lines go where there are too many", () => {
  const lines = appendChunk(read(chunk(1, "a\nb\n")), chunk(2, "c\n"), 2);
  expect(lines.map((line) => line.text)).toEqual(["b", "c"]);
});

test("a traceback is found where it begins", () => {
  const lines = read(chunk(1, "fine\nTraceback (most recent call last):\n  x\nValueError: no\n"));
  expect(findError(lines)).toBe(1);
});
