import { Stack, Table, Text } from "@mantine/core";
import { CircleCheck, CircleX, TriangleAlert } from "lucide-react";
import type { DataDifference } from "../api/client";
import { number } from "../parts/format";
import { Facts } from "../parts/page";
import { bound, share } from "./ColumnTable";

/** How a version differs from an earlier one: rows, columns, and how values are spread. */
export function DifferenceView({ difference }: { difference: DataDifference }) {
  const { rows, schema, columns, identical } = difference;
  if (identical) return <Text>Both hold the same bytes.</Text>;
  return (
    <Stack gap="sm">
      <Facts
        rows={[
          ["Rows", `${rows.before} → ${rows.after}`],
          ["New rows", rows.added ?? "not counted: the columns differ, or there are too many rows"],
          ["Rows gone", rows.removed ?? "not counted"],
          ["New columns", schema.added.join(", ") || "none"],
          ["Columns gone", schema.removed.join(", ") || "none"],
          [
            "Other type",
            schema.changed.map((one) => `${one.name}: ${one.before} → ${one.after}`).join(", ") ||
              "none",
          ],
        ]}
      />
      <Table.ScrollContainer type="native" tabIndex={0} minWidth={720}>
        <Table aria-label="How columns changed">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Column</Table.Th>
              <Table.Th>Spread of values</Table.Th>
              <Table.Th>Missing</Table.Th>
              <Table.Th>Distinct</Table.Th>
              <Table.Th>Mean</Table.Th>
              <Table.Th>Least</Table.Th>
              <Table.Th>Most</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {columns.map((one) => (
              <Table.Tr key={one.name}>
                <Table.Td>{one.name}</Table.Td>
                <Table.Td>
                  <Drift word={one.drift} psi={one.psi} />
                </Table.Td>
                <Table.Td>{pair(one.missing_share, (part) => share(part ?? 0))}</Table.Td>
                <Table.Td>{pair(one.distinct, String)}</Table.Td>
                <Table.Td>{pair(one.mean, number)}</Table.Td>
                <Table.Td>{pair(one.min, bound)}</Table.Td>
                <Table.Td>{pair(one.max, bound)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <Text size="xs" className="quiet">
        Spread by the population stability index (PSI): above 0.1 moderate, above 0.25 large.
      </Text>
    </Stack>
  );
}

const LOOKS = {
  none: { icon: CircleCheck, state: "succeeded", words: "as before" },
  moderate: { icon: TriangleAlert, state: "waiting", words: "moderate change" },
  large: { icon: CircleX, state: "failed", words: "large change" },
} as const;

function Drift({ word, psi }: { word?: string | null; psi?: number | null }) {
  const look = LOOKS[word as keyof typeof LOOKS];
  if (!look) return <span className="quiet">not compared</span>;
  const Icon = look.icon;
  return (
    <span className={`state ${look.state}`}>
      <Icon size={14} aria-hidden />
      {look.words} <span className="quiet">(PSI {psi?.toFixed(2)})</span>
    </span>
  );
}

function pair<T>(
  found: { before: T; after: T } | null | undefined,
  words: (value: T) => string,
): string {
  if (!found) return "–";
  const [before, after] = [words(found.before), words(found.after)];
  return before === after ? before : `${before} → ${after}`;
}
