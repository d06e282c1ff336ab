import { SimpleGrid, Stack, Table, Text } from "@mantine/core";
import { CircleCheck, CircleX } from "lucide-react";
import type { ModelVersion } from "../api/client";
import { LineChart } from "../parts/chart";
import { number, signed } from "../parts/format";

interface Curve {
  x: number[];
  y: number[];
}

/** The parts of an evaluation's report that are shown; a report may lack any. */
interface Shown {
  rows?: number;
  thresholds?: { metric: string; op: string; bound: number; value: number; passed: boolean }[];
  comparison?: {
    champion: string | null;
    metric: string;
    value?: number;
    champion_value?: number;
    gain?: number;
    interval?: { low: number; high: number; level: number };
    passed: boolean;
  };
  confusion_matrix?: { labels: (string | number)[]; counts: number[][] };
  roc?: Curve;
  precision_recall?: Curve;
  calibration?: Curve;
}

/** A version's metrics, and what its evaluation found. */
export function Report({ version }: { version: ModelVersion }) {
  const report = version.report as Shown;
  return (
    <Stack>
      <Table aria-label="Metrics">
        <Table.Tbody>
          {Object.entries(version.metrics).map(([name, value]) => (
            <Table.Tr key={name}>
              <Table.Th fw={400}>{name}</Table.Th>
              <Table.Td ta="right">{number(value)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      <Gates report={report} />
      {report.confusion_matrix && <Confusion {...report.confusion_matrix} />}
      <SimpleGrid cols={{ base: 1, xs: 2 }}>
        <CurveChart name="ROC" curve={report.roc} />
        <CurveChart name="Precision over recall" curve={report.precision_recall} />
        <CurveChart name="Calibration" curve={report.calibration} />
      </SimpleGrid>
    </Stack>
  );
}

function Gates({ report }: { report: Shown }) {
  const { comparison } = report;
  return (
    <Stack gap={4}>
      {report.thresholds?.map((gate) => (
        <Gate key={gate.metric} passed={gate.passed}>
          {gate.metric} {number(gate.value)} {gate.op} {number(gate.bound)}
        </Gate>
      ))}
      {comparison && (
        <Gate passed={comparison.passed}>
          {comparison.champion
            ? `${comparison.metric} ${number(comparison.value)} against ${number(comparison.champion_value)} of ${comparison.champion}: ${signed(comparison.gain ?? 0)}`
            : "There was no champion to beat."}
          {comparison.interval &&
            ` (${comparison.interval.level * 100} %: ${signed(comparison.interval.low)} to ${signed(comparison.interval.high)})`}
        </Gate>
      )}
      {report.rows !== undefined && (
        <Text size="xs" className="quiet">
          Evaluated on {report.rows} rows.
        </Text>
      )}
    </Stack>
  );
}

function Gate({ passed, children }: { passed: boolean; children: React.ReactNode }) {
  const Icon = passed ? CircleCheck : CircleX;
  return (
    <Text size="sm" component="div">
      <span className={`state ${passed ? "succeeded" : "failed"}`} style={{ whiteSpace: "normal" }}>
        <Icon size={14} aria-label={passed ? "passed" : "not passed"} />
        <span>{children}</span>
      </span>
    </Text>
  );
}

const MOST_LABELS = 12;

function Confusion({ labels, counts }: { labels: (string | number)[]; counts: number[][] }) {
  if (labels.length > MOST_LABELS) return null;
  const most = Math.max(1, ...counts.flat());
  return (
    <Table.ScrollContainer type="native" tabIndex={0} minWidth={200}>
      <Table withColumnBorders aria-label="Confusion matrix, rows are true labels">
        <Table.Thead>
          <Table.Tr>
            <Table.Th fw={400}>true ╲ predicted</Table.Th>
            {labels.map((label) => (
              <Table.Th key={label}>{label}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {counts.map((row, index) => (
            <Table.Tr key={labels[index]}>
              <Table.Th>{labels[index]}</Table.Th>
              {row.map((count, column) => (
                <Table.Td
                  key={column}
                  style={{
                    background: `color-mix(in srgb, var(--state-running) ${Math.round((count / most) * 22)}%, transparent)`,
                  }}
                >
                  {count}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function CurveChart({ name, curve }: { name: string; curve?: Curve }) {
  if (!curve || curve.x.length === 0) return null;
  return (
    <figure style={{ margin: 0 }}>
      <figcaption className="quiet" style={{ fontSize: "0.8rem" }}>
        {name}
      </figcaption>
      <LineChart
        name={name}
        height={180}
        dots={false}
        range={{ x: [0, 1], y: [0, 1] }}
        points={curve.x.map((x, index) => ({ x, y: curve.y[index] ?? 0, label: "" }))}
      />
    </figure>
  );
}
