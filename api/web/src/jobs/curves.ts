import type { Usage } from "../api/client";
import type { Point } from "../parts/chart";
import { number } from "../parts/format";

const MIB = 2 ** 20;

interface Curves {
  cpu: Point[];
  memory: Point[];
  gpu: Point[];
  gpuMemory: Point[];
}

/** Lines of what an attempt used over its seconds; of GPUs where it saw any. */
export function usageCurve(used: Usage): Curves {
  const line = (value: (sample: Usage["samples"][number]) => number | null | undefined) =>
    used.samples.flatMap((sample): Point[] => {
      const y = value(sample);
      if (y === null || y === undefined) return [];
      return [{ x: sample.at_s, y, label: `${number(sample.at_s)} s: ${number(y)}` }];
    });
  return {
    cpu: line((sample) => sample.cpu),
    memory: line((sample) => sample.rss_bytes / MIB),
    gpu: line(({ gpu }) => (gpu === null || gpu === undefined ? gpu : 100 * gpu)),
    gpuMemory: line((sample) => sample.gpu_memory_bytes && sample.gpu_memory_bytes / MIB),
  };
}
