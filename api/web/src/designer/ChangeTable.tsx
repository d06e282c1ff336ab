import { Table, Text } from "@mantine/core";
import { Section } from "../parts/page";
import type { Change } from "./changes";

const WORDS = { added: "new", removed: "gone", changed: "changed" } as const;

/** In what the file differs from another one. against: what that one is called. */
export function ChangeTable({ changes, against }: { changes: Change[]; against: string }) {
  return (
    <Section title={`Changes since ${against}`}>
      {changes.length === 0 ? (
        <Text size="sm" className="quiet">
          None that would change a job.
        </Text>
      ) : (
        <Table.ScrollContainer type="native" tabIndex={0} minWidth={460}>
          <Table aria-label="Changes">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Step</Table.Th>
                <Table.Th>What</Table.Th>
                <Table.Th>Before</Table.Th>
                <Table.Th>Now</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {changes.map(({ step, kind, path, before, after }) => (
                <Table.Tr key={`${step} ${path}`}>
                  <Table.Td>{step ?? <span className="quiet">the job</span>}</Table.Td>
                  <Table.Td>
                    <span className="mono">{path || "step"}</span> {WORDS[kind]}
                  </Table.Td>
                  <Table.Td className="mono">{before ?? "–"}</Table.Td>
                  <Table.Td className="mono">{after ?? "–"}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </Section>
  );
}
