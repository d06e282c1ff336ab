import { Anchor, Button, Group, Menu, Progress, SimpleGrid, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { client, type Job, take, type SweepSummary, type Trial } from "../api/client";
import { address } from "../api/root";
import { isTerminal } from "../live/merge";
import { number, short } from "../parts/format";
import { Loaded, Section } from "../parts/page";
import { ParallelPlot } from "./ParallelPlot";
import { ScatterPlot } from "./ScatterPlot";
import { axesOf, axisFor, type Axis, bestSoFar, type Brushes, isInside } from "./space";
import { TrialTable } from "./TrialTable";
import { useTrials } from "./useTrials";

/** A sweep as it goes: everything is linked by what the pointer is on and by what is brushed. */
export default function SweepView({ job, sweep }: { job: Job; sweep: SweepSummary }) {
  const isOpen = !isTerminal(job.state);
  const query = useTrials(job.id, isOpen);
  return (
    <Stack>
      <Standing job={job} sweep={sweep} />
      <Loaded query={query}>
        {(trials) => <Trials job={job} sweep={sweep} trials={trials} />}
      </Loaded>
    </Stack>
  );
}

const SHARES = [
  ["succeeded", "var(--state-succeeded)"],
  ["pruned", "var(--state-waiting)"],
  ["failed", "var(--state-failed)"],
  ["canceled", "var(--state-quiet)"],
  ["running", "var(--state-running)"],
] as const;

function Standing({ job, sweep }: { job: Job; sweep: SweepSummary }) {
  const { counts, objective, best } = sweep;
  const given = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const total = Math.max(sweep.total ?? 0, given, 1);
  return (
    <Stack gap="xs">
      <Group gap="lg">
        <Text>
          <b>{best ? number(best.value) : "–"}</b> {objective.primary_metric}{" "}
          <span className="quiet">
            best so far, to {objective.goal}
            {typeof objective.target === "number" && `, target ${number(objective.target)}`}
          </span>
        </Text>
        {best && (
          <Anchor component={Link} to={`/jobs/${best.id}`} size="sm">
            trial {best.number}
          </Anchor>
        )}
        <Text size="sm" className="quiet">
          {short(sweep.sampling.type)} sampling
          {sweep.early_termination && `, ${short(sweep.early_termination.type)}`}
        </Text>
        {sweep.paused_at && !isTerminal(job.state) && <Text className="waiting">paused</Text>}
      </Group>
      <Progress.Root size="lg" aria-label="Trials by state">
        {SHARES.map(([state, colour]) => (
          <Progress.Section
            key={state}
            value={(counts[state] / total) * 100}
            color={colour}
            aria-label={`${state}: ${counts[state]} of ${total}`}
          />
        ))}
      </Progress.Root>
      <Text size="sm" className="quiet">
        {SHARES.filter(([state]) => counts[state] > 0)
          .map(([state]) => `${counts[state]} ${state}`)
          .join(" · ")}{" "}
        of {sweep.total ?? "an open number of"} trials
      </Text>
    </Stack>
  );
}

const MOST_SLICES = 8;

function Trials({ job, sweep, trials }: { job: Job; sweep: SweepSummary; trials: Trial[] }) {
  const [hovered, setHovered] = useState<number>();
  const [brushes, setBrushes] = useState<Brushes>({});
  const metric = sweep.objective.primary_metric;
  const maximize = sweep.objective.goal === "maximize";
  const shown = useMemo(() => {
    const valued = trials.filter((trial) => typeof trial.value === "number");
    const order = valued.toSorted((one, other) =>
      maximize ? one.value! - other.value! : other.value! - one.value!,
    );
    const ranks = new Map(order.map((trial, index) => [trial.number, (index + 1) / order.length]));
    const value = axisFor(
      metric,
      valued.map((trial) => trial.value),
    );
    const params = axesOf(trials);
    return { valued, ranks, value, params, axes: [...params, value] };
  }, [trials, maximize, metric]);
  const plot = useMemo(() => {
    const valueOf = (trial: Trial, axis: Axis) =>
      axis === shown.value
        ? trial.value
        : axis.name === NUMBER
          ? trial.number
          : trial.params?.[axis.name];
    return {
      valueOf,
      rank: (trial: Trial) => shown.ranks.get(trial.number),
      isOn: (trial: Trial) => isInside(brushes, shown.axes, (axis) => valueOf(trial, axis)),
    };
  }, [shown, brushes]);
  const byNumber = useMemo(
    () => ({ ...axisFor(NUMBER, [0, Math.max(1, trials.length - 1)]), kind: "linear" as const }),
    [trials.length],
  );
  const steps = useMemo(() => bestSoFar(trials, maximize), [trials, maximize]);
  const isBrushed = Object.keys(brushes).length > 0;
  const listed = useMemo(() => {
    const kept = isBrushed ? trials.filter(plot.isOn) : trials;
    return kept.toSorted(
      (one, other) =>
        (shown.ranks.get(other.number) ?? -1) - (shown.ranks.get(one.number) ?? -1) ||
        one.number - other.number,
    );
  }, [trials, plot, shown, isBrushed]);
  const common = {
    ...plot,
    trials: shown.valued,
    best: sweep.best?.number,
    hovered,
    onHover: setHovered,
  };
  if (shown.valued.length === 0) {
    return <Text className="quiet">No trial has measured {metric} yet.</Text>;
  }
  return (
    <>
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Section title="Best so far">
          <ScatterPlot {...common} x={byNumber} y={shown.value} height={220} steps={steps} />
        </Section>
        <Importance job={job} ended={shown.valued.length} />
      </SimpleGrid>
      <Section
        title="All parameters"
        actions={
          isBrushed && (
            <Button size="compact-sm" variant="default" onClick={() => setBrushes({})}>
              Show all again
            </Button>
          )
        }
      >
        <ParallelPlot
          {...common}
          axes={shown.axes}
          brushes={brushes}
          onBrush={(axis, brush) =>
            setBrushes(({ [axis]: _, ...others }) =>
              brush ? { ...others, [axis]: brush } : others,
            )
          }
        />
      </Section>
      <Section title="Each parameter">
        <SimpleGrid cols={{ base: 1, xs: 2, lg: 4 }}>
          {shown.params.slice(0, MOST_SLICES).map((axis) => (
            <ScatterPlot key={axis.name} {...common} x={axis} y={shown.value} height={170} />
          ))}
        </SimpleGrid>
      </Section>
      <Section
        title={
          isBrushed ? `${listed.length} of ${trials.length} trials` : `${trials.length} trials`
        }
        actions={<Export id={job.id} />}
      >
        <TrialTable
          trials={listed}
          metric={metric}
          params={shown.params.map((axis) => axis.name)}
          best={sweep.best?.number}
          hovered={hovered}
          onHover={setHovered}
        />
      </Section>
    </>
  );
}

const NUMBER = "trial";
const FEW = 20;

/**
 * How much each parameter matters.
 *
 * ended: trials with a value. It costs the server seconds, so it is asked anew only when there are
 * half as many more.
 */
function Importance({ job, ended }: { job: Job; ended: number }) {
  const query = useQuery({
    queryKey: [
      "importance",
      job.id,
      Math.floor(Math.log(ended) / Math.log(1.5)),
      isTerminal(job.state),
    ],
    queryFn: () =>
      take(client.GET("/v1/jobs/{ref}/trials/importance", { params: { path: { ref: job.id } } })),
    placeholderData: (before) => before,
  });
  return (
    <Section title="Which parameters matter">
      <Loaded query={query}>
        {({ importance, succeeded }) =>
          Object.keys(importance).length === 0 ? (
            <Text className="quiet">Too few trials to tell.</Text>
          ) : (
            <>
              <div className="bars">
                {Object.entries(importance).map(([name, share]) => (
                  <div key={name} style={{ display: "contents" }}>
                    <span>{name}</span>
                    <div className="bar-track running">
                      <div className="bar" style={{ left: 0, width: `${share * 100}%` }} />
                    </div>
                    <span>{Math.round(share * 100)} %</span>
                  </div>
                ))}
              </div>
              {succeeded < FEW && (
                <Text size="xs" className="quiet">
                  From {succeeded} trials: a hint, no more.
                </Text>
              )}
            </>
          )
        }
      </Loaded>
    </Section>
  );
}

function Export({ id }: { id: string }) {
  const base = `/v1/jobs/${id}/trials/export`;
  return (
    <Menu>
      <Menu.Target>
        <Button size="compact-sm" variant="default">
          Export
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item component="a" href={address(`${base}?format=csv`)} download>
          Table (CSV)
        </Menu.Item>
        <Menu.Item component="a" href={address(`${base}?format=optuna`)} download>
          Study for optuna-dashboard
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
