import { expect, test } from "vitest";
import { usageCurve } from "./curves";

test("lines are in seconds, CPUs, MiB and percent", () => {
  const curve = usageCurve({
    attempt: 1,
    wall_s: 3,
    cpu_s: 2,
    max_rss_bytes: 3 * 2 ** 20,
    samples: [
      { at_s: 1, cpu: 0.5, rss_bytes: 2 ** 20, gpu: null, gpu_memory_bytes: null },
      { at_s: 2, cpu: 1.5, rss_bytes: 3 * 2 ** 20, gpu: 0.25, gpu_memory_bytes: 2 ** 21 },
    ],
  });
  expect(curve.cpu.map(({ x, y }) => [x, y])).toEqual([
    [1, 0.5],
    [2, 1.5],
  ]);
  expect(curve.memory.map(({ y }) => y)).toEqual([1, 3]);
  expect(curve.gpu.map(({ x, y }) => [x, y])).toEqual([[2, 25]]);
  expect(curve.gpuMemory.map(({ y }) => y)).toEqual([2]);
});
