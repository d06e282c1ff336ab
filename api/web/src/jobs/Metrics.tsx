import { Group, SimpleGrid, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { jobMetrics } from "../api/queries";
import type { Metric } from "../api/client";
import { LineChart } from "../parts/chart";
import { number } from "../parts/format";
import { Loaded } from "../parts/page";

/** Values by key, of the newest attempt of each, in the order of their steps. */
export function groupMetrics(metrics: Metric[]): Map<string, Metric[]> {
  const groups = new Map<string, Metric[]>();
  for (const metric of metrics) {
    const group = groups.get(metric.key) ?? [];
    const newest = group[0]?.attempt ?? 0;
    if (metric.attempt > newest) groups.set(metric.key, [metric]);
    else if (metric.attempt === newest || group.length === 0) {
      groups.set(metric.key, [...group, metric]);
    }
  }
  for (const group of groups.values()) group.sort((one, other) => one.step - other.step);
  return groups;
}

/** What a job measured: last values, and a line for what it measured more than once. */
export function Metrics({ id }: { id: string }) {
  const query = useQuery(jobMetrics(id));
  return (
    <Loaded query={query}>
      {(page) => {
        const groups = [...groupMetrics(page.items)];
        if (groups.length === 0) return <Text className="quiet">It has measured nothing.</Text>;
        return (
          <SimpleGrid cols={{ base: 1, xs: 2 }}>
            {groups.map(([key, values]) => (
              <Stack key={key} className="card" p="xs" gap={4}>
                <Group justify="space-between" wrap="nowrap">
                  <Text size="sm" truncate title={key}>
                    {key}
                  </Text>
                  <Text size="sm" fw={600}>
                    {number(values.at(-1)?.value)}
                  </Text>
                </Group>
                {values.length > 1 && (
                  <LineChart
                    name={`${key} by step`}
                    height={150}
                    points={values.flatMap(({ step, value }) =>
                      value === null || value === undefined
                        ? []
                        : [{ x: step, y: value, label: `step ${step}: ${number(value)}` }],
                    )}
                  />
                )}
              </Stack>
            ))}
          </SimpleGrid>
        );
      }}
    </Loaded>
  );
}
