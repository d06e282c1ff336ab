import { Link } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef } from "react";
import type { State, Trial } from "../api/client";
import { number, short } from "../parts/format";
import { StateWords } from "../parts/state";

const ROW_HEIGHT = 34;

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
  const frame = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: trials.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 10,
  });
  const columns = {
    gridTemplateColumns: `4.5rem 9rem 6rem repeat(${params.length}, minmax(6rem, 1fr))`,
    minWidth: `${21 + params.length * 6.75}rem`,
  };
  return (
    <div
      ref={frame}
      className="rows"
      role="table"
      aria-label="Trials"
      aria-rowcount={trials.length}
      tabIndex={0}
      style={{ maxHeight: 420 }}
    >
      <div className="row head" role="row" style={columns}>
        {["Trial", "State", metric, ...params].map((name) => (
          <span key={name} role="columnheader">
            {name}
          </span>
        ))}
      </div>
      <div
        role="rowgroup"
        style={{ height: rows.getTotalSize(), position: "relative", minWidth: columns.minWidth }}
      >
        {rows.getVirtualItems().map((item) => {
          const trial = trials[item.index];
          if (!trial) return null;
          return (
            <div
              key={trial.id}
              className="row"
              role="row"
              onPointerEnter={() => onHover(trial.number)}
              onPointerLeave={() => onHover(undefined)}
              style={{
                ...columns,
                position: "absolute",
                left: 0,
                right: 0,
                height: ROW_HEIGHT,
                transform: `translateY(${item.start}px)`,
                background: trial.number === hovered ? "var(--soft)" : undefined,
                fontWeight: trial.number === best ? 600 : undefined,
              }}
            >
              <span role="cell">
                <Link to="/jobs/$ref" params={{ ref: trial.id }}>
                  {trial.number}
                </Link>
              </span>
              <span role="cell" title={trial.error?.message ?? undefined}>
                <StateWords job={{ state: trial.state as State, reason: trial.reason }} />
              </span>
              <span role="cell">{number(trial.value)}</span>
              {params.map((name) => (
                <span role="cell" key={name} className="mono">
                  {paramWords(trial.params?.[name])}
                </span>
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function paramWords(value: unknown): string {
  if (value === undefined) return "–";
  return typeof value === "number" ? number(value) : short(value);
}
