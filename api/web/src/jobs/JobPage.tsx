import { Anchor, Group, Stack, Tabs, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import type { Job } from "../api/client";
import { approvals, job as jobQuery, jobSpec } from "../api/queries";
import { ApprovalCard } from "../approvals/ApprovalCard";
import { isTerminal } from "../live/merge";
import { CopyAs } from "../parts/copy";
import { Loaded, LoadedPage, Page } from "../parts/page";
import { StateWords } from "../parts/state";
import { Ago, Took } from "../parts/time";
import { SweepActions } from "../sweeps/SweepActions";
import { GanttChart } from "./GanttChart";
import { History } from "./History";
import { JobActions } from "./JobActions";
import { jobName } from "./JobRow";
import { LogView } from "./LogView";
import { Metrics } from "./Metrics";
import { Usage } from "./Usage";
import type { JobSearch, JobTab } from "./search";
import { Cause, JobFacts, StepPanel } from "./StepPanel";
import { StepTable } from "./StepTable";
import { Inputs, Outputs } from "./Values";

const SweepView = lazy(() => import("../sweeps/SweepView"));
const FlowDiagram = lazy(() => import("./FlowDiagram"));
/** Beyond this a diagram is neither readable nor quick; the table of steps is. */
const MOST_NODES = 400;
const SWEEP_REFRESH_MS = 2000;
const route = getRouteApi("/jobs/$ref");

const LABELS: Record<JobTab, string> = {
  sweep: "Sweep",
  flow: "Flow",
  timeline: "Timeline",
  steps: "Steps",
  log: "Log",
  parameters: "Inputs and outputs",
  history: "History",
  file: "Job file",
};

export default function JobPage() {
  const { ref } = route.useParams();
  const query = useQuery({
    ...jobQuery(ref),
    // Events tell of steps; how far a sweep is, only the sweep itself does.
    refetchInterval: ({ state }) =>
      state.data?.sweep && !isTerminal(state.data.state) ? SWEEP_REFRESH_MS : false,
  });
  return (
    <LoadedPage title={ref} query={query}>
      {(job) => <Shown job={job} />}
    </LoadedPage>
  );
}

const MARKS: Partial<Record<Job["state"], string>> = { succeeded: "✓", failed: "✗", canceled: "–" };

function Shown({ job }: { job: Job }) {
  const name = jobName(job);
  // Told beside the step that it came from.
  const hasOwnCause = Boolean(selectedStep(job.children ?? [], route.useSearch())?.error);
  return (
    <Page
      title={`${MARKS[job.state] ?? "…"} ${name}`}
      heading={name}
      actions={
        <>
          {job.sweep && !isTerminal(job.state) && <SweepActions job={job} sweep={job.sweep} />}
          <JobActions job={job} />
          <CopyAs cli={`job show ${job.id}`} path={`jobs/${job.id}`} />
        </>
      }
    >
      <Group gap="md">
        <StateWords job={job} />
        <Text size="sm">
          <Took job={job} />
        </Text>
        <Text size="sm" className="quiet">
          {job.type} · submitted <Ago at={job.created_at} /> by {job.submitted_by}
        </Text>
        {job.parent_id && (
          <Anchor component={Link} to={`/jobs/${job.parent_id}`} size="sm">
            Part of a larger job
          </Anchor>
        )}
      </Group>
      {!hasOwnCause && <Cause job={job} />}
      {!isTerminal(job.state) && <Decisions job={job} />}
      <Parts job={job} />
    </Page>
  );
}

/** What in this job waits for a person. */
function Decisions({ job }: { job: Job }) {
  const items = useQuery(approvals).data?.items ?? [];
  return items
    .filter((one) => one.id === job.id || one.root_id === job.id)
    .map((one) => <ApprovalCard key={one.id} approval={one} />);
}

/** The step that a page opens at: the one its address names, else the first that failed. */
export function selectedStep(steps: Job[], search: JobSearch): Job | undefined {
  if (search.step === "none") return undefined;
  if (search.step) return steps.find(({ id, name }) => name === search.step || id === search.step);
  return steps.find((step) => step.state === "failed");
}

function Parts({ job }: { job: Job }) {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const steps = job.children ?? [];
  const hasSteps = steps.length > 0;
  const tabs = (Object.keys(LABELS) as JobTab[]).filter((tab) =>
    tab === "sweep" ? job.sweep : hasSteps || !["flow", "timeline", "steps"].includes(tab),
  );
  const tab = search.tab && tabs.includes(search.tab) ? search.tab : (tabs[0] ?? "log");
  const step = selectedStep(steps, search);
  const change = (to: JobSearch) =>
    void navigate({ search: (old) => ({ ...old, ...to }), replace: !to.step });
  const select = (one: Job) => change({ step: one.name || one.id });
  const names = new Map(steps.map((one) => [one.id, one.name]));
  return (
    <div className={`split ${step ? "with-panel" : ""}`}>
      <Tabs
        value={tab}
        onChange={(value) => change({ tab: value as JobTab })}
        keepMounted={false}
        style={{ minWidth: 0 }}
      >
        <Tabs.List mb="sm">
          {tabs.map((one) => (
            <Tabs.Tab key={one} value={one}>
              {LABELS[one]}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="sweep">
          {job.sweep && (
            <Suspense fallback={null}>
              <SweepView key={job.id} job={job} sweep={job.sweep} />
            </Suspense>
          )}
        </Tabs.Panel>
        <Tabs.Panel value="flow">
          {steps.length > MOST_NODES ? (
            <Stack>
              <Text>
                {steps.length} steps are too many for a picture; here they are as a table.
              </Text>
              <StepTable steps={steps} selected={step} onSelect={select} />
            </Stack>
          ) : (
            <Suspense fallback={<div className="card flow" />}>
              <FlowDiagram steps={steps} selected={step?.id} onSelect={select} />
            </Suspense>
          )}
        </Tabs.Panel>
        <Tabs.Panel value="timeline">
          <GanttChart job={job} steps={steps} onSelect={select} />
        </Tabs.Panel>
        <Tabs.Panel value="steps">
          <StepTable steps={steps} selected={step} onSelect={select} />
        </Tabs.Panel>
        <Tabs.Panel value="log">
          <LogView job={job} />
        </Tabs.Panel>
        <Tabs.Panel value="parameters">
          <Stack>
            <Title order={2}>Inputs</Title>
            <Inputs job={job} />
            <Title order={2}>Outputs</Title>
            <Outputs job={job} />
            {!hasSteps && (
              <>
                <Title order={2}>Metrics</Title>
                <Metrics id={job.id} />
                <Usage job={job} />
              </>
            )}
            <Title order={2}>Details</Title>
            <JobFacts job={job} />
          </Stack>
        </Tabs.Panel>
        <Tabs.Panel value="history">
          <History id={job.id} names={names} />
        </Tabs.Panel>
        <Tabs.Panel value="file">
          <JobFile id={job.id} />
        </Tabs.Panel>
      </Tabs>
      {step && (
        <StepPanel
          key={step.id}
          step={step}
          steps={steps}
          view={search.view}
          onView={(view) => change({ view })}
          onClose={() => change({ step: "none", view: undefined })}
        />
      )}
    </div>
  );
}

function JobFile({ id }: { id: string }) {
  const query = useQuery(jobSpec(id));
  return (
    <Loaded query={query}>
      {(document) => (
        <pre className="block" tabIndex={0}>
          {document}
        </pre>
      )}
    </Loaded>
  );
}
