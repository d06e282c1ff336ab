import { Button, Table } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Plus } from "lucide-react";
import { schedules } from "../api/queries";
import { CopyAs } from "../parts/copy";
import { Empty, Loaded, Page } from "../parts/page";
import { Until } from "../parts/time";
import { triggerWords } from "./document";
import { Switched } from "./Switched";

export default function SchedulesPage() {
  const query = useQuery(schedules);
  return (
    <Page
      title="Schedules"
      actions={
        <>
          <Button
            component={Link}
            to="/schedule-editor"
            leftSection={<Plus size={14} aria-hidden />}
          >
            New schedule
          </Button>
          <CopyAs cli="schedule list" path="schedules" />
        </>
      }
    >
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty command="mlq schedule create -f FILE">
              No schedules yet. One starts a job by the clock, for new data, or for a push:
            </Empty>
          ) : (
            <Table.ScrollContainer type="native" tabIndex={0} minWidth={640}>
              <Table highlightOnHover>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>Schedule</Table.Th>
                    <Table.Th>Fires for</Table.Th>
                    <Table.Th>Next</Table.Th>
                    <Table.Th>While one runs</Table.Th>
                    <Table.Th>On</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {items.map((one) => (
                    <Table.Tr key={one.name}>
                      <Table.Td>
                        <Link to="/schedules/$name" params={{ name: one.name }}>
                          {one.name}
                        </Link>
                      </Table.Td>
                      <Table.Td>{triggerWords(one.trigger)}</Table.Td>
                      <Table.Td>
                        <Until at={one.next_at} />
                      </Table.Td>
                      <Table.Td>{one.overlap}</Table.Td>
                      <Table.Td>
                        <Switched schedule={one} />
                      </Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </Table.ScrollContainer>
          )
        }
      </Loaded>
    </Page>
  );
}
