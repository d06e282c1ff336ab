import type { Trial } from "../api/client";

/** One swept parameter, as a line from 0 to 1. */
export interface Axis {
  name: string;
  kind: "linear" | "log" | "category";
  /** Ends of a number's axis, as the trials have them. */
  low: number;
  high: number;
  /** Values of a category's axis, in order. */
  values: string[];
}

/** Ratio of the ends from which a positive number is shown on a logarithmic axis. */
const WIDE = 50;

/** An axis that holds all `values` of a parameter. */
export function axisFor(name: string, values: readonly unknown[]): Axis {
  const numbers = values.filter((value): value is number => typeof value === "number");
  if (numbers.length < values.length || numbers.length === 0) {
    const words = [...new Set(values.map(String))].sort();
    return { name, kind: "category", low: 0, high: 0, values: words };
  }
  const low = Math.min(...numbers);
  const high = Math.max(...numbers);
  const kind = low > 0 && high / low >= WIDE ? "log" : "linear";
  return { name, kind, low, high, values: [] };
}

/** Where `value` is on `axis`, from 0 to 1; undefined for one that has no place there. */
export function placeOn(axis: Axis, value: unknown): number | undefined {
  if (axis.kind === "category") {
    const index = axis.values.indexOf(String(value));
    return index < 0
      ? undefined
      : axis.values.length === 1
        ? 0.5
        : index / (axis.values.length - 1);
  }
  if (typeof value !== "number" || !Number.isFinite(value)) return undefined;
  if (axis.high === axis.low) return 0.5;
  if (axis.kind === "log") return Math.log(value / axis.low) / Math.log(axis.high / axis.low);
  return (value - axis.low) / (axis.high - axis.low);
}

/** Axes of all parameters that trials have, those that never vary left out. */
export function axesOf(trials: readonly Trial[]): Axis[] {
  const values = new Map<string, unknown[]>();
  for (const { params } of trials) {
    for (const [name, value] of Object.entries(params ?? {})) {
      const found = values.get(name);
      if (found) found.push(value);
      else values.set(name, [value]);
    }
  }
  return [...values]
    .filter(([, found]) => new Set(found.map(String)).size > 1)
    .map(([name, found]) => axisFor(name, found));
}

/** [number, value] of each trial that beat all before it. trials: by number. */
export function bestSoFar(trials: readonly Trial[], maximize: boolean): [number, number][] {
  const steps: [number, number][] = [];
  for (const { number, value, state } of trials) {
    if (typeof value !== "number" || state !== "succeeded") continue;
    const best = steps.at(-1)?.[1];
    if (best === undefined || (maximize ? value > best : value < best)) steps.push([number, value]);
  }
  return steps;
}

/** Ranges that were brushed, by the axis' name: from and to, 0 to 1. */
export type Brushes = Readonly<Record<string, readonly [number, number]>>;

/** Whether a point lies inside every brushed range. */
export function isInside(
  brushes: Brushes,
  axes: readonly Axis[],
  valueOf: (axis: Axis) => unknown,
): boolean {
  return axes.every((axis) => {
    const brush = brushes[axis.name];
    if (!brush) return true;
    const place = placeOn(axis, valueOf(axis));
    return place !== undefined && place >= brush[0] && place <= brush[1];
  });
}
