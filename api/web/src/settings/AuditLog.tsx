import { Button, Code, Table } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { auditLog } from "../api/queries";
import { CopyAs } from "../parts/copy";
import { short } from "../parts/format";
import { Loaded, Section } from "../parts/page";
import { Ago } from "../parts/time";

/** What was done, by whom, newest first. */
export function AuditLog() {
  const query = useInfiniteQuery(auditLog);
  return (
    <Section title="Audit log" actions={<CopyAs path="audit" />}>
      <Loaded query={query}>
        {({ pages }) => (
          <Table.ScrollContainer type="native" tabIndex={0} minWidth={560}>
            <Table>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>When</Table.Th>
                  <Table.Th>Who</Table.Th>
                  <Table.Th>What</Table.Th>
                  <Table.Th>Of</Table.Th>
                  <Table.Th>More</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {pages.flatMap(({ items }) =>
                  items.map((event) => (
                    <Table.Tr key={event.id}>
                      <Table.Td style={{ whiteSpace: "nowrap" }}>
                        <Ago at={event.at} />
                      </Table.Td>
                      <Table.Td>{event.actor}</Table.Td>
                      <Table.Td>{event.kind}</Table.Td>
                      <Table.Td>{event.subject}</Table.Td>
                      <Table.Td>
                        {event.detail && Object.keys(event.detail).length > 0 && (
                          <Code>{short(event.detail)}</Code>
                        )}
                      </Table.Td>
                    </Table.Tr>
                  )),
                )}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        )}
      </Loaded>
      {query.hasNextPage && (
        <Button
          variant="default"
          style={{ alignSelf: "start" }}
          loading={query.isFetchingNextPage}
          onClick={() => void query.fetchNextPage()}
        >
          Older
        </Button>
      )}
    </Section>
  );
}
