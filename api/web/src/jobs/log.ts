import type { LogChunk } from "../api/client";

export interface LogLine {
  /** Of the chunk in which the line ends; with `place` its address. */
  chunk: number;
  place: number;
  step: string;
  attempt: number;
  stream: string;
  at: string;
  text: string;
  /** The program has not ended it yet. */
  isOpen: boolean;
}

/** Lines after one more chunk; a line may come in pieces, between those of other steps. */
export function appendChunk(lines: readonly LogLine[], chunk: LogChunk, limit: number): LogLine[] {
  const added = [...lines];
  const pieces = chunk.content.split("\n");
  const isWhole = pieces.at(-1) === "";
  if (isWhole) pieces.pop();
  pieces.forEach((piece, place) => {
    // What a progress bar wrote over itself: the last state is the one to show.
    const text = piece.replace(/\r$/, "").split("\r").at(-1) ?? "";
    const isOpen = place === pieces.length - 1 && !isWhole;
    const index = place === 0 ? added.findLastIndex((line) => isSame(line, chunk)) : -1;
    const last = added[index];
    if (last?.isOpen) {
      added[index] = { ...last, text: last.text + text, isOpen };
      return;
    }
    const { id, path, attempt, stream, at } = chunk;
    added.push({ chunk: id, place, step: path, attempt, stream, at, text, isOpen });
  });
  return added.length > limit ? added.slice(added.length - limit) : added;
}

function isSame(line: LogLine, chunk: LogChunk): boolean {
  return line.step === chunk.path && line.attempt === chunk.attempt && line.stream === chunk.stream;
}

const ERROR = /^\s*(Traceback \(most recent call last\)|\w*(Error|Exception)\b|ERROR|FATAL)/;

/** Index of the line where the first error begins; -1 without one. */
export function findError(lines: readonly LogLine[]): number {
  return lines.findIndex((line) => ERROR.test(line.text));
}
