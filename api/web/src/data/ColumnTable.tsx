import { Table } from "@mantine/core";
import type { ColumnProfile } from "../api/client";
import { number, short } from "../parts/format";

/** A table's columns: what they hold, and how it is spread. */
export function ColumnTable({ columns }: { columns: ColumnProfile[] }) {
  return (
    <Table.ScrollContainer type="native" tabIndex={0} minWidth={760}>
      <Table aria-label="Columns">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Column</Table.Th>
            <Table.Th>Type</Table.Th>
            <Table.Th>Missing</Table.Th>
            <Table.Th>Distinct</Table.Th>
            <Table.Th>Spread</Table.Th>
            <Table.Th>Least</Table.Th>
            <Table.Th>Median</Table.Th>
            <Table.Th>Mean</Table.Th>
            <Table.Th>Most</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {columns.map((one) => (
            <Table.Tr key={one.name}>
              <Table.Td>{one.name}</Table.Td>
              <Table.Td>{one.type}</Table.Td>
              <Table.Td>{share(one.missing_share)}</Table.Td>
              <Table.Td>
                {one.distinct_is_exact ? "" : "about "}
                {one.distinct}
              </Table.Td>
              <Table.Td>
                <Spread column={one} />
              </Table.Td>
              <Table.Td>{bound(one.min)}</Table.Td>
              <Table.Td>{number(one.quantiles?.["0.5"])}</Table.Td>
              <Table.Td>{number(one.mean)}</Table.Td>
              <Table.Td>{bound(one.max)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

const WIDTH = 120;
const HEIGHT = 26;

function Spread({ column }: { column: ColumnProfile }) {
  const { histogram, top } = column;
  if (histogram) {
    const most = Math.max(1, ...histogram.counts);
    const width = WIDTH / histogram.counts.length;
    const { edges } = histogram;
    return (
      <svg
        width={WIDTH}
        height={HEIGHT}
        role="img"
        aria-label={`Histogram from ${number(edges[0])} to ${number(edges.at(-1))}`}
        className="running"
      >
        {histogram.counts.map((count, index) => {
          const height = (count / most) * HEIGHT;
          return (
            <rect
              key={index}
              x={index * width}
              y={HEIGHT - height}
              width={Math.max(1, width - 1)}
              height={height}
              fill="currentColor"
            >
              <title>{`${number(edges[index])} to ${number(edges[index + 1])}: ${count}`}</title>
            </rect>
          );
        })}
      </svg>
    );
  }
  if (top && top.length > 0) {
    const shown = top.slice(0, 3).map(({ value, count }) => `${short(value)} (${count})`);
    return (
      <span title={top.map(({ value, count }) => `${short(value)}: ${count}`).join("\n")}>
        {shown.join(", ")}
        {top.length > 3 && ", …"}
      </span>
    );
  }
  return <>–</>;
}

/** A share in percent; one that is small but not nothing says so. */
export function share(part: number): string {
  if (part === 0) return "none";
  const percent = part * 100;
  return percent < 0.1 ? "< 0.1 %" : `${number(Number(percent.toFixed(1)))} %`;
}

/** An end of a column's range: a number, or a time. */
export function bound(value: number | string | null | undefined): string {
  return typeof value === "string" ? value : number(value);
}
