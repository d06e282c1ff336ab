import { ActionIcon, Alert, Group, Stack, Tabs, Text, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { X } from "lucide-react";
import type { Job } from "../api/client";
import { CopyValue } from "../parts/copy";
import { Facts } from "../parts/page";
import { StateWords } from "../parts/state";
import { Ago, Took } from "../parts/time";
import { History } from "./History";
import { LogView } from "./LogView";
import { Metrics } from "./Metrics";
import { STEP_TABS, type StepTab } from "./search";
import { Usage } from "./Usage";
import { Inputs, Outputs } from "./Values";

const LABELS: Record<StepTab, string> = {
  log: "Log",
  data: "Inputs and outputs",
  metrics: "Metrics",
  history: "Attempts",
  details: "Details",
};

interface Props {
  step: Job;
  steps: Job[];
  view?: StepTab;
  onView: (view: StepTab) => void;
  onClose: () => void;
}

/** One step beside its pipeline. */
export function StepPanel({ step, steps, view = "log", onView, onClose }: Props) {
  return (
    <Stack className="card" p="sm" gap="sm" component="section" aria-label={`Step ${step.name}`}>
      <Group justify="space-between" wrap="nowrap">
        <Group gap="sm">
          <Title order={2}>{step.name}</Title>
          <StateWords job={step} />
          <Text size="sm" className="quiet">
            <Took job={step} />
          </Text>
        </Group>
        <ActionIcon variant="subtle" color="gray" aria-label="Close the step" onClick={onClose}>
          <X size={16} aria-hidden />
        </ActionIcon>
      </Group>
      {step.type !== "command" && (
        <Link to="/jobs/$ref" params={{ ref: step.id }}>
          Open this {step.type}
        </Link>
      )}
      <Cause job={step} />
      <Tabs value={view} onChange={(tab) => onView(tab as StepTab)} keepMounted={false}>
        <Tabs.List mb="sm">
          {STEP_TABS.map((tab) => (
            <Tabs.Tab key={tab} value={tab}>
              {LABELS[tab]}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="log">
          <LogView job={step} />
        </Tabs.Panel>
        <Tabs.Panel value="data">
          <Stack>
            <Title order={3} size="sm">
              Outputs
            </Title>
            <Outputs job={step} />
            <Title order={3} size="sm">
              Inputs
            </Title>
            <Inputs job={step} steps={steps} />
          </Stack>
        </Tabs.Panel>
        <Tabs.Panel value="metrics">
          <Stack>
            <Metrics id={step.id} />
            <Usage job={step} />
          </Stack>
        </Tabs.Panel>
        <Tabs.Panel value="history">
          <History id={step.id} />
        </Tabs.Panel>
        <Tabs.Panel value="details">
          <JobFacts job={step} />
        </Tabs.Panel>
      </Tabs>
    </Stack>
  );
}

/** Why a job failed or waits, in words. */
export function Cause({ job }: { job: Job }) {
  if (job.error?.message) {
    return (
      <Alert color="red" variant="light" title={failure(job.error.code)}>
        <Text size="sm" className="mono" style={{ whiteSpace: "pre-wrap" }}>
          {job.error.message}
        </Text>
      </Alert>
    );
  }
  if (job.waiting_for) {
    return (
      <Alert color="gray" variant="light">
        {job.waiting_for}
      </Alert>
    );
  }
  return null;
}

/** A code that says more than that it failed can be looked up. */
function failure(code: string | null | undefined): string {
  return code && code !== "error" ? `It failed: ${code}` : "It failed";
}

export function JobFacts({ job }: { job: Job }) {
  return (
    <Facts
      rows={[
        ["Id", <CopyValue key="id" value={job.id} />],
        ["Type", job.component ? `${job.type} (${job.component})` : job.type],
        ["Experiment", job.experiment_name ?? "–"],
        ["Compute", job.compute ?? "–"],
        ["Worker", job.worker ?? "–"],
        ["Attempt", job.attempt],
        ["Submitted by", job.submitted_by ?? "–"],
        ...(job.git ? [["Commit", gitWords(job.git)] as [string, string]] : []),
        ["Submitted", <Ago key="created" at={job.created_at} />],
        ["Queued", <Ago key="queued" at={job.queued_at} />],
        ["Started", <Ago key="started" at={job.started_at} />],
        ["Finished", <Ago key="finished" at={job.finished_at} />],
      ]}
    />
  );
}

/** The commit that the code was submitted from. */
function gitWords({ commit, branch, is_dirty }: NonNullable<Job["git"]>): string {
  return `${commit.slice(0, 12)}${branch ? ` on ${branch}` : ""}${is_dirty ? ", changed since" : ""}`;
}
