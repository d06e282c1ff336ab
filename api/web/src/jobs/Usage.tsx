import { SimpleGrid, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Job, Usage as Used } from "../api/client";
import { jobUsage } from "../api/queries";
import { LineChart, type Point } from "../parts/chart";
import { bytes, duration, number } from "../parts/format";
import { usageCurve } from "./curves";

/** What a command used of its machine; nothing where nothing was measured. */
export function Usage({ job }: { job: Job }) {
  const { data } = useQuery(jobUsage(job));
  return data ? <Curves used={data} /> : null;
}

function Curves({ used }: { used: Used }) {
  const curve = usageCurve(used);
  const cpus = `${duration(used.cpu_s)} of CPU in ${duration(used.wall_s)}`;
  return (
    <SimpleGrid cols={{ base: 1, xs: 2 }}>
      <Curve title="CPUs in use" value={cpus} points={curve.cpu} />
      <Curve
        title="Memory in MiB"
        value={`${bytes(used.max_rss_bytes)} at most`}
        points={curve.memory}
      />
      {curve.gpu.length > 0 && (
        <Curve title="GPU busy, %" value={number(curve.gpu.at(-1)?.y)} points={curve.gpu} />
      )}
      {curve.gpuMemory.length > 0 && (
        <Curve
          title="GPU memory in MiB"
          value={number(curve.gpuMemory.at(-1)?.y)}
          points={curve.gpuMemory}
        />
      )}
    </SimpleGrid>
  );
}

function Curve({ title, value, points }: { title: string; value: string; points: Point[] }) {
  return (
    <Stack className="card" p="xs" gap={4}>
      <Text size="sm">
        {title}: <strong>{value}</strong>
      </Text>
      {points.length > 1 && (
        <LineChart name={`${title} by seconds`} height={150} points={points} dots={false} />
      )}
    </Stack>
  );
}
