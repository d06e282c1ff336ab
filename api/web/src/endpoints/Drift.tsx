import { Anchor, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { DriftReport, Drifted } from "../api/client";
import { drift } from "../api/queries";
import { CopyAs } from "../parts/copy";
import { number } from "../parts/format";
import { Loaded, Section } from "../parts/page";
import { Ago } from "../parts/time";

/** Features that are shown before all are asked for, those that moved most. */
const FEW = 5;

/** How far what an endpoint is asked and answers has moved from the training rows. */
export function Drift({ name }: { name: string }) {
  const query = useQuery(drift(name));
  return (
    <Section
      title="Drift"
      actions={
        <CopyAs
          cli={`online-endpoint drift ${name}`}
          path={`endpoints/${encodeURIComponent(name)}/drift`}
        />
      }
    >
      <Loaded query={query}>
        {({ items }) => {
          const looked = items.filter((one) => one.at != null);
          return looked.length === 0 ? (
            <Text className="quiet">
              {items.some((one) => one.sampling_rate > 0)
                ? "No sampled request was looked at yet."
                : "Nothing is sampled. Give a deployment data_collector: {sampling_rate: 0.1}."}
            </Text>
          ) : (
            looked.map((one) => <Report key={one.deployment} report={one} />)
          );
        }}
      </Loaded>
    </Section>
  );
}

function Report({ report }: { report: DriftReport }) {
  const [isWhole, setWhole] = useState(false);
  const sorted = [...report.features].sort((a, b) => (b.psi ?? -1) - (a.psi ?? -1));
  const shown = isWhole ? sorted : sorted.slice(0, FEW);
  const live = report.live;
  return (
    <>
      <Text size="sm">
        {report.deployment}, {report.model}: {report.rows} rows, <Ago at={report.at} />
        {live.accuracy != null && `; accuracy ${number(live.accuracy)}`}
        {live.mae != null && `; mean absolute error ${number(live.mae)}`}
        {live.truths > 0 && ` of ${live.truths} rows whose truth is known`}
      </Text>
      {report.breaches.map((one) => (
        <Text key={one} size="sm" className="failed">
          Over its limit: {one}
        </Text>
      ))}
      {!report.has_profile && (
        <Text size="sm" className="quiet">
          The model has no training profile to compare with.
        </Text>
      )}
      {report.prediction && (
        <Table.ScrollContainer type="native" tabIndex={0} minWidth={560}>
          <Table aria-label={`Drift of ${report.deployment}`}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Column</Table.Th>
                <Table.Th>Drift</Table.Th>
                <Table.Th>PSI</Table.Th>
                <Table.Th>KS or χ²</Table.Th>
                <Table.Th>p</Table.Th>
                <Table.Th>Missing</Table.Th>
                <Table.Th>Not in training</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {[report.prediction, ...shown].map((one, index) => (
                <Row key={index} column={one} />
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
      {sorted.length > FEW && (
        <Anchor component="button" size="sm" onClick={() => setWhole(!isWhole)}>
          {isWhole ? "Those that moved most" : `All ${sorted.length} columns`}
        </Anchor>
      )}
    </>
  );
}

function Row({ column }: { column: Drifted }) {
  const measured = (value: number | null | undefined) => (value == null ? "–" : number(value));
  const share = (value: number | null | undefined) =>
    value == null ? "–" : `${(value * 100).toFixed(1)} %`;
  return (
    <Table.Tr>
      <Table.Td>{column.name}</Table.Td>
      <Table.Td className={column.drift === "large" ? "failed" : undefined}>
        {column.drift ?? "–"}
      </Table.Td>
      <Table.Td>{measured(column.psi)}</Table.Td>
      <Table.Td>{measured(column.ks ?? column.chi_square)}</Table.Td>
      <Table.Td>{column.p_value == null ? "–" : column.p_value.toPrecision(2)}</Table.Td>
      <Table.Td>{share(column.missing)}</Table.Td>
      <Table.Td>{share(column.unknown ?? column.out_of_range)}</Table.Td>
    </Table.Tr>
  );
}
