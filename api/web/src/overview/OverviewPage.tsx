import { Alert, Anchor, Button, Code, List, Stack, Text } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import type { Job } from "../api/client";
import { approvals, endpoints, jobPages, models, queues } from "../api/queries";
import { ApprovalCard } from "../approvals/ApprovalCard";
import { JobHead, JobRow, jobName } from "../jobs/JobRow";
import { useLive } from "../live/live";
import { ModelTable } from "../models/ModelsPage";
import { Loaded, Page, Section, Trouble } from "../parts/page";
import { useMayAct } from "../parts/role";
import { StateIcon } from "../parts/state";
import { Ago } from "../parts/time";
import { TrafficBar } from "../endpoints/TrafficBar";
import { startDemo } from "./demo";
import { QueueTable } from "../workers/WorkersPage";

const DAY_MS = 86_400_000;
const SHOWN = 8;

function useJobs(state?: Job["state"]) {
  const { submitted } = useLive();
  const query = useInfiniteQuery({ ...jobPages(state ? { state } : {}), refetchInterval: 15_000 });
  const { refetch } = query;
  // Unlike in the long list, new jobs come in by themselves here.
  useEffect(() => {
    if (submitted > 0) void refetch();
  }, [submitted, refetch]);
  return { jobs: query.data?.pages[0]?.items, error: query.error };
}

export default function OverviewPage() {
  const newest = useJobs();
  const failed = useJobs("failed").jobs ?? [];
  const queueList = useQuery(queues).data?.items ?? [];
  const modelQuery = useQuery(models);
  const endpointQuery = useQuery(endpoints);
  const isEmpty = newest.jobs?.length === 0 && modelQuery.data?.items.length === 0;
  return (
    <Page title="Overview">
      {isEmpty ? (
        <FirstSteps />
      ) : (
        <>
          <Attention
            failed={failed.filter((job) => Date.now() - Date.parse(job.created_at) < DAY_MS)}
            unserved={queueList.filter((one) => one.queued > 0 && one.workers === 0)}
          />
          <Waiting />
          <Section title="Newest jobs" actions={<More to="/jobs" />}>
            <Loaded query={{ data: newest.jobs, error: newest.error }}>
              {(jobs) => (
                <div className="rows" role="table" aria-label="Newest jobs">
                  <JobHead />
                  {jobs.slice(0, SHOWN).map((job) => (
                    <JobRow key={job.id} job={job} />
                  ))}
                </div>
              )}
            </Loaded>
          </Section>
          <Section title="Champions" actions={<More to="/models" />}>
            <Loaded query={modelQuery}>
              {({ items }) =>
                items.length > 0 ? (
                  <ModelTable models={items.slice(0, SHOWN)} />
                ) : (
                  <Text className="quiet">No models yet.</Text>
                )
              }
            </Loaded>
          </Section>
          <Section title="Endpoints" actions={<More to="/endpoints" />}>
            {(endpointQuery.data?.items ?? []).slice(0, SHOWN).map((endpoint) => (
              <div key={endpoint.name}>
                <Anchor
                  component={Link}
                  to={`/endpoints/${encodeURIComponent(endpoint.name)}`}
                  size="sm"
                >
                  {endpoint.name}
                </Anchor>
                <TrafficBar endpoint={endpoint} />
              </div>
            ))}
          </Section>
        </>
      )}
      <Section title="Queues" actions={<More to="/workers" />}>
        <QueueTable queues={queueList} />
      </Section>
    </Page>
  );
}

function More({ to }: { to: string }) {
  return (
    <Anchor component={Link} to={to} size="sm">
      All
    </Anchor>
  );
}

function Attention({
  failed,
  unserved,
}: {
  failed: Job[];
  unserved: { compute: string; queued: number }[];
}) {
  if (failed.length === 0 && unserved.length === 0) return null;
  return (
    <Alert color="red" variant="light" title="Needs attention">
      <Stack gap={4}>
        {unserved.map((queue) => (
          <Text key={queue.compute} size="sm">
            {queue.queued} waiting for {queue.compute}, and no worker serves it:{" "}
            <Code>mlq worker -Q {queue.compute}</Code>
          </Text>
        ))}
        {failed.slice(0, SHOWN).map((job) => (
          <Text key={job.id} size="sm" lineClamp={2}>
            <span className="state">
              <StateIcon state="failed" size={14} />
              <Link to="/jobs/$ref" params={{ ref: job.id }}>
                {jobName(job)}
              </Link>
            </span>{" "}
            {job.error?.message}{" "}
            <span className="quiet">
              · <Ago at={job.finished_at} />
            </span>
          </Text>
        ))}
      </Stack>
    </Alert>
  );
}

/** Decisions that only a person can make. */
function Waiting() {
  const items = useQuery(approvals).data?.items ?? [];
  if (items.length === 0) return null;
  return (
    <Section title="Waiting for a decision" actions={<More to="/approvals" />}>
      {items.slice(0, 3).map((one) => (
        <ApprovalCard key={one.id} approval={one} />
      ))}
    </Section>
  );
}

function FirstSteps() {
  const mayAct = useMayAct();
  const navigate = useNavigate();
  const demo = useMutation({
    mutationFn: startDemo,
    onSuccess: (id) => void navigate({ to: "/jobs/$ref", params: { ref: id } }),
  });
  return (
    <Stack className="card" p="lg">
      <Text fw={600}>Three steps to a model that answers</Text>
      <List type="ordered" spacing="sm">
        <List.Item>
          See the loop on a real dataset, from data to a model behind an endpoint:{" "}
          <Button
            size="compact-sm"
            loading={demo.isPending}
            disabled={!mayAct}
            title={mayAct ? undefined : "Your token only looks"}
            onClick={() => demo.mutate()}
          >
            Run the demo
          </Button>{" "}
          or <Code>mlq demo</Code>
        </List.Item>
        <List.Item>
          Bring your data: <Link to="/data">add a file</Link>, or{" "}
          <Code>mlq data create --name churn --path churn.csv</Code>
        </List.Item>
        <List.Item>
          Run a pipeline: <Link to="/designer">draw one</Link>, or{" "}
          <Code>mlq job create -f churn.yml --stream</Code>
        </List.Item>
      </List>
      {demo.error && <Trouble error={demo.error} />}
    </Stack>
  );
}
