import { Anchor } from "@mantine/core";
import type { Job } from "../api/client";
import { number } from "../parts/format";
import { StateWords } from "../parts/state";
import { Took } from "../parts/time";
import { type VirtualColumn, VirtualTable } from "../parts/VirtualTable";

interface Props {
  steps: Job[];
  selected?: Job;
  onSelect: (step: Job) => void;
}

/** The steps of a job, however many. */
export function StepTable({ steps, selected, onSelect }: Props) {
  const columns: VirtualColumn<Job>[] = [
    {
      name: "Step",
      title: (step) => step.name,
      cell: (step) => (
        <Anchor component="button" size="sm" onClick={() => onSelect(step)}>
          {step.name}
        </Anchor>
      ),
    },
    {
      name: "State",
      title: (step) => step.waiting_for ?? undefined,
      cell: (step) => <StateWords job={step} />,
    },
    { name: "Took", cell: (step) => <Took job={step} /> },
    { name: "Metrics", title: metricWords, cell: metricWords },
    { name: "Worker", title: workerOf, cell: workerOf, isMono: true },
  ];
  return (
    <VirtualTable
      label="Steps"
      rows={steps}
      columns={columns}
      widths="minmax(8rem, 1fr) 9.5rem 5.5rem minmax(8rem, 1.4fr) minmax(7rem, 1fr)"
      leastRem={43}
      maxHeight="60vh"
      keyOf={({ id }) => id}
      isMarked={(step) => step.id === selected?.id}
    />
  );
}

function metricWords({ metrics }: Job): string {
  return Object.entries(metrics)
    .slice(0, 3)
    .map(([key, value]) => `${key} ${number(value)}`)
    .join(" · ");
}

function workerOf({ worker }: Job): string | undefined {
  return worker ?? undefined;
}
