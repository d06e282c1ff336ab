import { Button, Group, List, Table, Text } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { Pencil, Play, Trash2 } from "lucide-react";
import { useState } from "react";
import { stringify } from "yaml";
import { client, type Firing, type Schedule, take } from "../api/client";
import { firings, schedule as scheduleQuery } from "../api/queries";
import { Confirm, tellDone } from "../parts/confirm";
import { CopyAs, CopyValue } from "../parts/copy";
import { Facts, Loaded, LoadedPage, Page, Section } from "../parts/page";
import { useMayAct } from "../parts/role";
import { Ago, Until } from "../parts/time";
import { triggerWords } from "./document";
import { Switched } from "./Switched";

const route = getRouteApi("/schedules/$name");

export default function SchedulePage() {
  const { name } = route.useParams();
  const query = useQuery(scheduleQuery(name));
  return (
    <LoadedPage title={name} query={query}>
      {(schedule) => <Shown schedule={schedule} />}
    </LoadedPage>
  );
}

function Shown({ schedule }: { schedule: Schedule }) {
  const { name } = schedule;
  const times = schedule.next_times ?? [];
  return (
    <Page title={name} actions={<Actions schedule={schedule} />}>
      {schedule.description && <Text>{schedule.description}</Text>}
      <Facts
        rows={[
          ["Fires", <Switched key="on" schedule={schedule} />],
          ["For", triggerWords(schedule.trigger)],
          ["While one runs", schedule.overlap],
          ["Missed times", schedule.catch_up],
          ["Made by", schedule.created_by],
          ["Changed", <Ago key="at" at={schedule.updated_at} />],
          ...(schedule.hook_url
            ? ([["Send to", <CopyValue key="hook" value={schedule.hook_url} />]] as [
                string,
                React.ReactNode,
              ][])
            : []),
        ]}
      />
      {times.length > 0 && (
        <Section title="Next times">
          <List>
            {times.map((at) => (
              <List.Item key={at}>
                {new Date(at).toLocaleString()} <span className="quiet">({at})</span>{" "}
                <Until at={at} />
              </List.Item>
            ))}
          </List>
        </Section>
      )}
      <History name={name} />
      <Section title="The job">
        <pre className="block" tabIndex={0}>
          {stringify(schedule.job)}
        </pre>
      </Section>
    </Page>
  );
}

function Actions({ schedule }: { schedule: Schedule }) {
  const { name } = schedule;
  const mayAct = useMayAct();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [isDoomed, setDoomed] = useState(false);
  const fire = useMutation({
    mutationFn: () =>
      take(
        client.POST("/v1/schedules/{name}/trigger", {
          params: { path: { name } },
          body: { context: {} },
        }),
      ),
    onSuccess: (fired) => {
      tellDone(fired.job_id ? `${name} started a job.` : `${name}: ${fired.outcome}.`);
      void queries.invalidateQueries({ queryKey: ["schedule", name] });
    },
    onError: (error) => tellDone(error.message),
  });
  const why = mayAct ? undefined : "Your token only looks";
  return (
    <>
      <Button
        variant="default"
        disabled={!mayAct}
        title={why ?? "Beside its trigger, whatever its policies say"}
        loading={fire.isPending}
        leftSection={<Play size={14} aria-hidden />}
        onClick={() => fire.mutate()}
      >
        Fire now
      </Button>
      <Button
        component={Link}
        to={`/schedule-editor?name=${encodeURIComponent(name)}`}
        variant="default"
        leftSection={<Pencil size={14} aria-hidden />}
      >
        Edit
      </Button>
      <Button
        variant="default"
        disabled={!mayAct}
        title={why}
        leftSection={<Trash2 size={14} aria-hidden />}
        onClick={() => setDoomed(true)}
      >
        Remove
      </Button>
      <CopyAs cli={`schedule show ${name}`} path={`schedules/${encodeURIComponent(name)}`} />
      <Confirm
        opened={isDoomed}
        onClose={() => setDoomed(false)}
        title={`Remove ${name}?`}
        act="Remove the schedule"
        danger
        onConfirm={async () => {
          await take(client.DELETE("/v1/schedules/{name}", { params: { path: { name } } }));
          await queries.invalidateQueries({ queryKey: ["schedules"] });
          void navigate({ to: "/schedules" });
        }}
      >
        Its history goes with it; jobs that it started stay.
      </Confirm>
    </>
  );
}

const LOOKS: Record<Firing["outcome"], string> = {
  submitted: "succeeded",
  waiting: "waiting",
  skipped: "skipped",
  missed: "waiting",
  failed: "failed",
};

function History({ name }: { name: string }) {
  const query = useInfiniteQuery(firings(name));
  return (
    <Section title="What it did">
      <Loaded query={query}>
        {({ pages }) => {
          const items = pages.flatMap((page) => page.items);
          if (items.length === 0) return <Text className="quiet">It has not fired yet.</Text>;
          return (
            <Table.ScrollContainer type="native" tabIndex={0} minWidth={560}>
              <Table>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>Due</Table.Th>
                    <Table.Th>Outcome</Table.Th>
                    <Table.Th>Job</Table.Th>
                    <Table.Th>Why</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {items.map((one) => (
                    <Table.Tr key={one.key}>
                      <Table.Td>
                        <Ago at={one.due_at} />
                      </Table.Td>
                      <Table.Td className={LOOKS[one.outcome]}>{one.outcome}</Table.Td>
                      <Table.Td className="mono">
                        {one.job_id ? (
                          <Link to="/jobs/$ref" params={{ ref: one.job_id }}>
                            {one.job_id.slice(0, 12)}
                          </Link>
                        ) : (
                          "–"
                        )}
                      </Table.Td>
                      <Table.Td>
                        {reasonOf(one) ??
                          Object.entries(one.context)
                            .map(([key, value]) => `${key} ${value}`)
                            .join(" · ")}
                      </Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </Table.ScrollContainer>
          );
        }}
      </Loaded>
      {query.hasNextPage && (
        <Group>
          <Button
            variant="default"
            loading={query.isFetchingNextPage}
            onClick={() => void query.fetchNextPage()}
          >
            Older
          </Button>
        </Group>
      )}
    </Section>
  );
}

function reasonOf({ detail }: Firing): string | undefined {
  if (!detail) return undefined;
  const { message, reason } = detail as { message?: unknown; reason?: unknown };
  const told = message ?? reason;
  return typeof told === "string" ? told : JSON.stringify(detail);
}
