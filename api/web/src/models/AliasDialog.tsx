import { List, Table, Text } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { client, type Model, type ModelVersion, take } from "../api/client";
import { endpoints as endpointsQuery } from "../api/queries";
import { Confirm, tellDone } from "../parts/confirm";
import { number, signed } from "../parts/format";

export interface AliasAct {
  kind: "promote" | "rollback";
  to: number;
}

interface Props {
  model: Model;
  versions: ModelVersion[];
  alias: string;
  act?: AliasAct;
  onClose: () => void;
}

/** What moving an alias will change, and then the move, with its way back. */
export function AliasDialog({ model, versions, alias, act, onClose }: Props) {
  const queries = useQueryClient();
  const deployments = useFollowers(model.name, alias);
  const from = model.aliases[alias];
  const current = versions.find((one) => one.version === from);
  const wanted = versions.find((one) => one.version === act?.to);
  const path = { name: model.name };
  const promote = (version: number, reason: string) =>
    take(
      client.POST("/v1/models/{name}/aliases", {
        params: { path },
        body: { alias, version, reason },
      }),
    );
  const rollback = (to: number, reason: string) =>
    take(
      client.POST("/v1/models/{name}/rollback", { params: { path }, body: { alias, to, reason } }),
    );
  const isRollback = act?.kind === "rollback";
  const refresh = () => queries.invalidateQueries({ queryKey: ["model", model.name] });

  async function move(reason: string) {
    if (!act) return;
    const back = isRollback
      ? from && (() => promote(from, "undo of a rollback"))
      : from && (() => rollback(from, "undo of a promotion"));
    await (isRollback ? rollback(act.to, reason) : promote(act.to, reason));
    await refresh();
    tellDone(
      `${model.name}@${alias} is on v${act.to} now.`,
      back ? () => back().then(refresh) : undefined,
    );
  }

  return (
    <Confirm
      opened={act !== undefined}
      onClose={onClose}
      title={`${isRollback ? "Roll back" : "Promote"}: ${model.name} ${from ? `v${from} → ` : ""}v${act?.to ?? ""}`}
      act={isRollback ? `Roll back to v${act.to}` : `Promote v${act?.to ?? ""}`}
      danger={isRollback}
      withReason
      onConfirm={move}
    >
      <Comparison from={current} to={wanted} />
      {deployments.length > 0 ? (
        <>
          <Text size="sm">Changes what answers, within a second or so:</Text>
          <List size="sm">
            {deployments.map((words) => (
              <List.Item key={words}>{words}</List.Item>
            ))}
          </List>
        </>
      ) : (
        <Text size="sm">No deployment follows {alias}.</Text>
      )}
    </Confirm>
  );
}

function useFollowers(name: string, alias: string): string[] {
  const endpoints = useQuery(endpointsQuery).data?.items ?? [];
  return endpoints.flatMap((endpoint) =>
    endpoint.deployments
      .filter((one) => one.model === `models:/${name}@${alias}`)
      .map(
        (one) =>
          `${endpoint.name}/${one.name}: ${endpoint.traffic[one.name] ?? 0} % of its traffic`,
      ),
  );
}

function Comparison({ from, to }: { from?: ModelVersion; to?: ModelVersion }) {
  const names = Object.keys({ ...from?.metrics, ...to?.metrics });
  if (names.length === 0) return null;
  return (
    <Table aria-label="Metrics of both">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Metric</Table.Th>
          {from && <Table.Th>v{from.version} now</Table.Th>}
          <Table.Th>v{to?.version}</Table.Th>
          {from && <Table.Th>Change</Table.Th>}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {names.map((name) => {
          const now = from?.metrics[name];
          const then = to?.metrics[name];
          const known = typeof now === "number" && typeof then === "number";
          return (
            <Table.Tr key={name}>
              <Table.Td>{name}</Table.Td>
              {from && <Table.Td>{number(now)}</Table.Td>}
              <Table.Td>{number(then)}</Table.Td>
              {from && <Table.Td>{known ? signed(then - now) : "–"}</Table.Td>}
            </Table.Tr>
          );
        })}
      </Table.Tbody>
    </Table>
  );
}
