import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import type { State, Trial } from "../api/client";
import { number, short } from "../parts/format";
import { StateWords } from "../parts/state";
import { type VirtualColumn, VirtualTable } from "../parts/VirtualTable";

interface Props {
  trials: Trial[];
  metric: string;
  params: string[];
  best?: number;
  hovered?: number;
  onHover: (number: number | undefined) => void;
}

/** Trials, the best first. */
export function TrialTable({ trials, metric, params, best, hovered, onHover }: Props) {
  const columns = useMemo(
    (): VirtualColumn<Trial>[] => [
      {
        name: "Trial",
        cell: (trial) => (
          <Link to="/jobs/$ref" params={{ ref: trial.id }}>
            {trial.number}
          </Link>
        ),
      },
      {
        name: "State",
        title: (trial) => trial.error?.message ?? undefined,
        cell: (trial) => <StateWords job={{ state: trial.state as State, reason: trial.reason }} />,
      },
      { name: metric, cell: (trial) => number(trial.value) },
      ...params.map((name) => ({
        name,
        isMono: true,
        cell: (trial: Trial) => paramWords(trial.params?.[name]),
      })),
    ],
    [metric, params],
  );
  return (
    <VirtualTable
      label="Trials"
      rows={trials}
      columns={columns}
      widths={`4.5rem 9rem 6rem repeat(${params.length}, minmax(6rem, 1fr))`}
      leastRem={21 + params.length * 6.75}
      maxHeight={420}
      keyOf={({ id }) => id}
      isMarked={(trial) => trial.number === hovered}
      isStrong={(trial) => trial.number === best}
      onHover={(trial) => onHover(trial?.number)}
    />
  );
}

function paramWords(value: unknown): string {
  if (value === undefined) return "–";
  return typeof value === "number" ? number(value) : short(value);
}
