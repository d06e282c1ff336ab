import { Badge, Button, Group, Stack, Table, Text } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Pause, Play, Undo2 } from "lucide-react";
import { useState } from "react";
import { client, type Endpoint, type Rollout, take } from "../api/client";
import { measurements, rollouts } from "../api/queries";
import { Confirm, tellDone } from "../parts/confirm";
import { CopyAs } from "../parts/copy";
import { duration } from "../parts/format";
import { Named } from "../parts/named";
import { Section } from "../parts/page";
import { useMayAct } from "../parts/role";
import { Ago, useNow } from "../parts/time";
import { TrafficTable } from "./Measured";
import { NewRollout } from "./NewRollout";
import { abortWords, type Policy, stagesOf } from "./policy";

const MOST_SECONDS = 604_800;

export function isOpen({ phase }: Rollout): boolean {
  return phase === "running" || phase === "frozen";
}

/** Versions on their way to an alias of this endpoint, and those that were. */
export function Rollouts({ endpoint }: { endpoint: Endpoint }) {
  const { name } = endpoint;
  const items = useQuery(rollouts(name)).data?.items ?? [];
  const open = items.find(isOpen);
  const ended = items.filter((one) => !isOpen(one));
  return (
    <Section
      title="Rollout"
      actions={
        <CopyAs
          cli={`rollout list ${name}`}
          path={`endpoints/${encodeURIComponent(name)}/rollouts`}
        />
      }
    >
      {open ? <Open key={open.id} rollout={open} /> : <NewRollout endpoint={endpoint} />}
      {ended.length > 0 && (
        <Table.ScrollContainer type="native" tabIndex={0} minWidth={560}>
          <Table aria-label="Rollouts that have ended">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Version</Table.Th>
                <Table.Th>Alias</Table.Th>
                <Table.Th>Outcome</Table.Th>
                <Table.Th>By</Table.Th>
                <Table.Th>Ended</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {ended.map((one) => (
                <Table.Tr key={one.id}>
                  <Table.Td className="mono">
                    <Named uri={one.model} />
                  </Table.Td>
                  <Table.Td>{one.alias}</Table.Td>
                  <Table.Td>
                    <span className={one.phase === "succeeded" ? "succeeded" : "failed"}>
                      {one.phase.replace("_", " ")}
                    </span>
                    {one.reason && <Text size="sm">{one.reason}</Text>}
                  </Table.Td>
                  <Table.Td>{one.created_by}</Table.Td>
                  <Table.Td>
                    <Ago at={one.ended_at} />
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </Section>
  );
}

type Act = "freeze" | "resume" | "abort";

const QUESTIONS: Record<Act, { act: string; says: string }> = {
  freeze: { act: "Hold", says: "Nothing is judged and nothing moves until it is resumed." },
  resume: { act: "Resume", says: "Its stage begins again, with its whole bake time." },
  abort: {
    act: "Abort",
    says: "What served before serves all again; the alias never moved. The candidate goes.",
  },
};

function Open({ rollout }: { rollout: Rollout }) {
  const mayAct = useMayAct();
  const queries = useQueryClient();
  const [asked, ask] = useState<Act>();
  const question = asked && QUESTIONS[asked];
  const isFrozen = rollout.phase === "frozen";
  const why = mayAct ? undefined : "Your token only looks";
  return (
    <Stack className="card" p="md" gap="sm">
      <Group justify="space-between">
        <Group gap="xs">
          <Text fw={600}>
            <Named uri={rollout.model} /> → {rollout.alias}
          </Text>
          <Badge color={isFrozen ? "orange.9" : "indigo"} variant="filled" tt="none">
            {isFrozen ? "held" : "under way"}
          </Badge>
          <Text size="sm" className="quiet">
            by {rollout.created_by} · <Ago at={rollout.created_at} />
            {rollout.job_id && (
              <>
                {" · "}
                <Link to="/jobs/$ref" params={{ ref: rollout.job_id }}>
                  its job
                </Link>
              </>
            )}
          </Text>
        </Group>
        <Group gap="xs">
          {isFrozen ? (
            <Button
              variant="default"
              disabled={!mayAct}
              title={why}
              leftSection={<Play size={14} aria-hidden />}
              onClick={() => ask("resume")}
            >
              Resume
            </Button>
          ) : (
            <Button
              variant="default"
              disabled={!mayAct}
              title={why}
              leftSection={<Pause size={14} aria-hidden />}
              onClick={() => ask("freeze")}
            >
              Hold
            </Button>
          )}
          <Button
            color="red.8"
            disabled={!mayAct}
            title={why}
            leftSection={<Undo2 size={14} aria-hidden />}
            onClick={() => ask("abort")}
          >
            Abort
          </Button>
        </Group>
      </Group>
      {isFrozen && rollout.reason && <Text size="sm">Held: {rollout.reason}</Text>}
      <Stages rollout={rollout} />
      <StageNumbers rollout={rollout} />
      <Text size="sm" className="quiet">
        {abortWords(rollout.policy as Policy)}
      </Text>
      <Confirm
        opened={asked !== undefined}
        onClose={() => ask(undefined)}
        title={`${question?.act ?? ""} the rollout of ${rollout.model}?`}
        act={question?.act ?? ""}
        danger={asked === "abort"}
        withReason
        onConfirm={async (reason) => {
          if (!asked) return;
          await take(
            client.POST(`/v1/endpoints/{name}/rollouts/${asked}`, {
              params: { path: { name: rollout.endpoint } },
              body: { reason },
            }),
          );
          tellDone(
            { freeze: "The rollout is held.", resume: "It goes on.", abort: "It is taken back." }[
              asked
            ],
          );
          await queries.invalidateQueries({ queryKey: ["endpoint", rollout.endpoint] });
        }}
      >
        <Text size="sm">{question?.says}</Text>
      </Confirm>
    </Stack>
  );
}

/** The stages in order, with the time that the present one still bakes. */
function Stages({ rollout }: { rollout: Rollout }) {
  const now = useNow();
  const stages = stagesOf(rollout.policy as Policy);
  const elapsed = Math.max(0, (now - Date.parse(rollout.stage_at)) / 1000);
  return (
    <ol className="stages" aria-label="Stages">
      {stages.map((stage, index) => {
        const isNow = index === rollout.stage;
        const left = Math.max(0, stage.bake_s - elapsed);
        return (
          <li
            key={index}
            className={isNow ? "now" : index < rollout.stage ? "done" : undefined}
            aria-current={isNow ? "step" : undefined}
          >
            <b>
              {stage.kind === "mirror" ? "Copies" : "Answers"} {stage.percent} %
            </b>
            <span className="quiet">
              {index < rollout.stage
                ? "done"
                : !isNow
                  ? duration(stage.bake_s)
                  : rollout.phase === "frozen"
                    ? "held"
                    : left > 0
                      ? `${duration(Math.ceil(left))} to go`
                      : "deciding"}
            </span>
          </li>
        );
      })}
      <li>
        <b>All, and the alias</b>
        <span className="quiet">at the end</span>
      </li>
    </ol>
  );
}

/** What candidate and present version answered since the stage began: what it is judged by. */
function StageNumbers({ rollout }: { rollout: Rollout }) {
  const since = (Date.now() - Date.parse(rollout.stage_at)) / 1000;
  // in steps, so that one question is asked again and not another one each second
  const seconds = Math.min(MOST_SECONDS, Math.max(30, Math.ceil(since / 30) * 30));
  const query = useQuery({
    ...measurements(rollout.endpoint, seconds),
    placeholderData: (last) => last,
  });
  const items = query.data?.items ?? [];
  if (items.length === 0) {
    return <Text size="sm">No requests since the stage began: nothing to judge by yet.</Text>;
  }
  return <TrafficTable items={items} />;
}
