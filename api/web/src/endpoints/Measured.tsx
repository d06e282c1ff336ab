import { SegmentedControl, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { measurements } from "../api/queries";
import type { Traffic } from "../api/client";
import { CopyAs } from "../parts/copy";
import { number } from "../parts/format";
import { Loaded, Section } from "../parts/page";

const SPANS = { "5 min": 300, "1 h": 3600, "1 d": 86_400, "7 d": 604_800 };

/** What an endpoint answered lately, by deployment and version. */
export function Measured({ name }: { name: string }) {
  const [span, setSpan] = useState<keyof typeof SPANS>("1 h");
  const query = useQuery(measurements(name, SPANS[span]));
  return (
    <Section
      title="Requests"
      actions={
        <>
          <SegmentedControl
            size="xs"
            aria-label="In the last"
            data={Object.keys(SPANS)}
            value={span}
            onChange={(chosen) => setSpan(chosen as typeof span)}
          />
          <CopyAs
            path={`endpoints/${encodeURIComponent(name)}/measurements?seconds=${SPANS[span]}`}
          />
        </>
      }
    >
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Text className="quiet">Nobody asked in the last {span}.</Text>
          ) : (
            <TrafficTable items={items} />
          )
        }
      </Loaded>
    </Section>
  );
}

export function TrafficTable({ items }: { items: readonly Traffic[] }) {
  return (
    <Table.ScrollContainer type="native" tabIndex={0} minWidth={560}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Deployment</Table.Th>
            <Table.Th>Version</Table.Th>
            <Table.Th>Requests</Table.Th>
            <Table.Th>Failed</Table.Th>
            <Table.Th>Rows</Table.Th>
            <Table.Th>p50</Table.Th>
            <Table.Th>p95</Table.Th>
            <Table.Th>p99</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {items.map((one) => (
            <Table.Tr key={`${one.deployment} ${one.version}`}>
              <Table.Td>{one.deployment}</Table.Td>
              <Table.Td>v{one.version}</Table.Td>
              <Table.Td>{one.requests}</Table.Td>
              <Table.Td className={one.errors > 0 ? "failed" : undefined}>
                {one.errors}
                {one.errors > 0 && ` (${((one.errors / one.requests) * 100).toFixed(1)} %)`}
              </Table.Td>
              <Table.Td>{one.rows}</Table.Td>
              {[one.p50_ms, one.p95_ms, one.p99_ms].map((ms, index) => (
                <Table.Td key={index}>{ms == null ? "–" : `${number(ms)} ms`}</Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
