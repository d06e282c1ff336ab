import { Alert, Anchor, Button, Code, Progress, Stack, Table, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { client, type Queue, type ServerProcess, take, type Worker } from "../api/client";
import { address } from "../api/root";
import { queues, servers, whoami, workers } from "../api/queries";
import { bytes, duration } from "../parts/format";
import { Empty, Loaded, Page, Section, Trouble } from "../parts/page";
import { Ago } from "../parts/time";
import { SERVERS, versions } from "./versions";

export default function WorkersPage() {
  const queueQuery = useQuery(queues);
  const workerQuery = useQuery(workers);
  const serverQuery = useQuery(servers);
  return (
    <Page
      title="Workers and queues"
      actions={
        <Anchor href={address("/flower/")} size="sm">
          Flower
        </Anchor>
      }
    >
      {workerQuery.data && serverQuery.data && (
        <Skew workers={workerQuery.data.items} servers={serverQuery.data.items} />
      )}
      <Section title="Queues">
        <Loaded query={queueQuery}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty command="mlq worker -Q cpu">
                Nothing waits, and nobody serves. Start a worker:
              </Empty>
            ) : (
              <QueueTable queues={items} />
            )
          }
        </Loaded>
      </Section>
      <Section title="Workers">
        <Loaded query={workerQuery}>{({ items }) => <WorkerTable workers={items} />}</Loaded>
      </Section>
      <Section title="Servers">
        <Loaded query={serverQuery}>{({ items }) => <ServerTable servers={items} />}</Loaded>
      </Section>
      <Section title="Add a worker">
        <Stack gap={4} align="start">
          <Text size="sm">On this machine:</Text>
          <Code>mlq worker -Q cpu</Code>
          <Text size="sm">
            On another one, with the database, broker and artifacts of this server in
            MLQ_DATABASE_URL, MLQ_BROKER_URL and MLQ_ARTIFACT_URL, the same command. It refuses to
            start, and says what must change, while any of them is on this machine only.
          </Text>
        </Stack>
      </Section>
    </Page>
  );
}

export function QueueTable({ queues: items }: { queues: Queue[] }) {
  return (
    <Table.ScrollContainer type="native" tabIndex={0} minWidth={520}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Queue</Table.Th>
            <Table.Th>Waiting</Table.Th>
            <Table.Th>Oldest</Table.Th>
            <Table.Th>Running</Table.Th>
            <Table.Th w="30%">Slots</Table.Th>
            <Table.Th>Workers</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {items.map((queue) => {
            const isUnserved = queue.queued > 0 && queue.workers === 0;
            return (
              <Table.Tr key={queue.compute} className={isUnserved ? "failed" : undefined}>
                <Table.Td>{queue.compute}</Table.Td>
                <Table.Td>
                  {queue.queued}
                  {isUnserved && ", and nobody serves it"}
                </Table.Td>
                <Table.Td>
                  {queue.oldest_queued_s === null || queue.oldest_queued_s === undefined
                    ? "–"
                    : duration(queue.oldest_queued_s)}
                </Table.Td>
                <Table.Td>{queue.running}</Table.Td>
                <Table.Td>
                  <Slots busy={queue.busy} slots={queue.slots} />
                </Table.Td>
                <Table.Td>{queue.workers}</Table.Td>
              </Table.Tr>
            );
          })}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function Slots({ busy, slots }: { busy: number; slots: number }) {
  return (
    <>
      <Progress
        value={slots > 0 ? (busy / slots) * 100 : 0}
        aria-label={`${busy} of ${slots} slots busy`}
      />
      <Text size="xs" className="quiet">
        {busy} of {slots} busy
      </Text>
    </>
  );
}

function Skew({ workers: alive, servers: up }: { workers: Worker[]; servers: ServerProcess[] }) {
  const found = versions(alive, up);
  if (found.size < 2) return null;
  return (
    <Alert color="yellow" title="Versions differ" mb="md">
      {[...found].map(([version, names]) => (
        <Text size="sm" key={version}>
          {version}: {names.join(", ")}
        </Text>
      ))}
    </Alert>
  );
}

function ServerTable({ servers: items }: { servers: ServerProcess[] }) {
  return (
    <Table.ScrollContainer type="native" tabIndex={0} minWidth={520}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Server</Table.Th>
            <Table.Th>Machine</Table.Th>
            <Table.Th>Process</Table.Th>
            <Table.Th>Started</Table.Th>
            <Table.Th>Version</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {items.map((server) => (
            <Table.Tr key={server.id}>
              <Table.Td>{SERVERS[server.kind] ?? server.kind}</Table.Td>
              <Table.Td className="mono">{server.host}</Table.Td>
              <Table.Td>{server.pid}</Table.Td>
              <Table.Td>
                <Ago at={server.started_at} />
              </Table.Td>
              <Table.Td>{server.version}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function WorkerTable({ workers: items }: { workers: Worker[] }) {
  const isAdmin = useQuery(whoami).data?.role === "admin";
  return (
    <Table.ScrollContainer type="native" tabIndex={0} minWidth={760}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Worker</Table.Th>
            <Table.Th>State</Table.Th>
            <Table.Th>Serves</Table.Th>
            <Table.Th>Slots</Table.Th>
            <Table.Th>Machine</Table.Th>
            <Table.Th>Seen</Table.Th>
            <Table.Th>Version</Table.Th>
            {isAdmin && <Table.Th aria-label="What can be done" />}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {items.map((worker) => (
            <Table.Tr key={worker.id} className={worker.state === "offline" ? "quiet" : undefined}>
              <Table.Td className="mono">{worker.name}</Table.Td>
              <Table.Td>
                <span className={worker.state === "draining" ? "waiting" : undefined}>
                  {worker.state}
                </span>
                {worker.drain_requested_at && (
                  <Text size="xs" className="quiet">
                    since <Ago at={worker.drain_requested_at} />
                  </Text>
                )}
              </Table.Td>
              <Table.Td>{worker.computes.join(", ")}</Table.Td>
              <Table.Td miw={110}>
                <Slots busy={worker.busy} slots={worker.slots} />
              </Table.Td>
              <Table.Td>
                {worker.cores} cores, {bytes(worker.memory_bytes)}
                {worker.gpus.length > 0 && `, ${worker.gpus.length} GPU`}
              </Table.Td>
              <Table.Td>
                <Ago at={worker.seen_at} />
              </Table.Td>
              <Table.Td>{worker.version}</Table.Td>
              {isAdmin && (
                <Table.Td>{worker.state !== "offline" && <Drain worker={worker} />}</Table.Td>
              )}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

/** Lets a worker take no further step, or take them again. */
function Drain({ worker }: { worker: Worker }) {
  const queries = useQueryClient();
  const isDrained = Boolean(worker.drain_requested_at);
  const change = useMutation({
    mutationFn: () => {
      const given = { params: { path: { name: worker.id } } };
      return take(
        isDrained
          ? client.POST("/v1/workers/{name}/resume", given)
          : client.POST("/v1/workers/{name}/drain", given),
      );
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ["workers"] }),
  });
  return (
    <>
      <Button
        size="xs"
        variant="default"
        loading={change.isPending}
        aria-label={`${isDrained ? "Resume" : "Drain"} ${worker.name}`}
        title={
          isDrained
            ? "It takes steps again"
            : "It ends the steps that it runs and takes no further one"
        }
        onClick={() => change.mutate()}
      >
        {isDrained ? "Resume" : "Drain"}
      </Button>
      {change.error && <Trouble error={change.error} />}
    </>
  );
}
