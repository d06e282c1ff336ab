import { Anchor, Button, Group, Slider, Stack, Table, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import { client, type Endpoint, take } from "../api/client";
import { endpoint as endpointQuery, rollouts as rolloutsQuery } from "../api/queries";
import { Confirm, tellDone } from "../parts/confirm";
import { CopyAs, CopyValue } from "../parts/copy";
import { Empty, LoadedPage, Page, Section } from "../parts/page";
import { useMayAct } from "../parts/role";
import { Ago } from "../parts/time";
import { modelOf } from "./address";
import { Drift } from "./Drift";
import { Measured } from "./Measured";
import { isOpen, Rollouts } from "./Rollouts";
import { shareOut } from "./traffic";
import { TrafficBar } from "./TrafficBar";
import { TryIt } from "./TryIt";

const route = getRouteApi("/endpoints/$name");

export default function EndpointPage() {
  const { name } = route.useParams();
  const query = useQuery(endpointQuery(name));
  return (
    <LoadedPage title={name} query={query}>
      {(endpoint) => (
        <Page
          title={endpoint.name}
          actions={
            <CopyAs
              cli={`online-endpoint show ${endpoint.name}`}
              path={`endpoints/${encodeURIComponent(endpoint.name)}`}
            />
          }
        >
          {endpoint.description && <Text>{endpoint.description}</Text>}
          <Group gap="xs">
            <Text size="sm">Answers at</Text>
            <CopyValue value={endpoint.scoring_uri} />
          </Group>
          {endpoint.deployments.length === 0 ? (
            <Empty
              command={`mlq online-deployment create --endpoint ${endpoint.name} --model models:/NAME@production`}
            >
              Nothing stands behind it yet:
            </Empty>
          ) : (
            <>
              <Traffic key={JSON.stringify(endpoint.traffic)} endpoint={endpoint} />
              <Rollouts endpoint={endpoint} />
              <Measured name={endpoint.name} />
              <Drift name={endpoint.name} />
              <Deployments endpoint={endpoint} />
              <TryIt endpoint={endpoint} />
            </>
          )}
        </Page>
      )}
    </LoadedPage>
  );
}

function Traffic({ endpoint }: { endpoint: Endpoint }) {
  const mayAct = useMayAct();
  const queries = useQueryClient();
  const [asking, ask] = useDisclosure();
  const isHeld = (useQuery(rolloutsQuery(endpoint.name)).data?.items ?? []).some(isOpen);
  const before = Object.fromEntries(
    endpoint.deployments.map((one) => [one.name, endpoint.traffic[one.name] ?? 0]),
  );
  const [traffic, setTraffic] = useState(before);
  const isChanged = endpoint.deployments.some((one) => traffic[one.name] !== before[one.name]);
  const send = async (wanted: Record<string, number>) => {
    await take(
      client.PATCH("/v1/endpoints/{name}", {
        params: { path: { name: endpoint.name } },
        body: { traffic: wanted },
      }),
    );
    await queries.invalidateQueries({ queryKey: ["endpoint", endpoint.name] });
  };
  return (
    <Section title="Traffic">
      <TrafficBar endpoint={{ ...endpoint, traffic }} />
      <Mirrored endpoint={endpoint} />
      {isHeld && (
        <Text size="sm" className="quiet">
          While a rollout is open, the traffic is its own.
        </Text>
      )}
      {mayAct && !isHeld && endpoint.deployments.length > 1 && (
        <Stack gap="xs" maw={560}>
          {endpoint.deployments.map((one) => (
            <Group key={one.name} wrap="nowrap">
              <Text size="sm" w={130} truncate>
                {one.name}
              </Text>
              <Slider
                style={{ flex: 1 }}
                value={traffic[one.name] ?? 0}
                onChange={(percent) => setTraffic((old) => shareOut(old, one.name, percent))}
                label={(percent) => `${percent} %`}
                thumbLabel={`Traffic of ${one.name}, percent`}
              />
              <Text size="sm" w={48} ta="right">
                {traffic[one.name]} %
              </Text>
            </Group>
          ))}
          <Group>
            <Button disabled={!isChanged} onClick={ask.open}>
              Change traffic
            </Button>
            {isChanged && (
              <Button variant="default" onClick={() => setTraffic(before)}>
                As it was
              </Button>
            )}
          </Group>
        </Stack>
      )}
      <Confirm
        opened={asking}
        onClose={ask.close}
        title={`Change the traffic of ${endpoint.name}?`}
        act="Change traffic"
        onConfirm={async () => {
          await send(traffic);
          tellDone(`The traffic of ${endpoint.name} is split anew.`, () => send(before));
        }}
      >
        <Table aria-label="Traffic before and after">
          <Table.Tbody>
            {endpoint.deployments.map((one) => (
              <Table.Tr key={one.name}>
                <Table.Td>{one.name}</Table.Td>
                <Table.Td>
                  {before[one.name]} % → {traffic[one.name]} %
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Confirm>
    </Section>
  );
}

function Mirrored({ endpoint }: { endpoint: Endpoint }) {
  const copies = Object.entries(endpoint.mirror_traffic).filter(([, percent]) => percent > 0);
  if (copies.length === 0) return null;
  return (
    <Text size="sm">
      Copies, whose answers nobody sees:{" "}
      {copies.map(([name, percent]) => `${percent} % to ${name}`).join(", ")}
    </Text>
  );
}

function Deployments({ endpoint }: { endpoint: Endpoint }) {
  return (
    <Section title="Deployments">
      <Table.ScrollContainer type="native" tabIndex={0} minWidth={480}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Deployment</Table.Th>
              <Table.Th>Model</Table.Th>
              <Table.Th>Version now</Table.Th>
              <Table.Th>Changed</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {endpoint.deployments.map((one) => {
              const model = modelOf(one.model);
              return (
                <Table.Tr key={one.name}>
                  <Table.Td>{one.name}</Table.Td>
                  <Table.Td>
                    <Anchor component={Link} to={`/models/${encodeURIComponent(model)}`} size="sm">
                      {one.model}
                    </Anchor>
                  </Table.Td>
                  <Table.Td>{one.version ? `v${one.version}` : "–"}</Table.Td>
                  <Table.Td>
                    <Ago at={one.updated_at} />
                  </Table.Td>
                </Table.Tr>
              );
            })}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Section>
  );
}
