import {
  Button,
  Checkbox,
  Group,
  Select,
  SimpleGrid,
  Stack,
  Table,
  Text,
  TextInput,
} from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import { type BatchDeployment, type BatchEndpoint, client, type State, take } from "../api/client";
import { batchEndpoint, invocations } from "../api/queries";
import { tellDone } from "../parts/confirm";
import { CopyAs, CopyValue } from "../parts/copy";
import { Empty, Loaded, LoadedPage, Page, Section, Trouble } from "../parts/page";
import { useMayAct } from "../parts/role";
import { StateWords } from "../parts/state";
import { Ago } from "../parts/time";
import { inputsOf, type Port, portsOf } from "./inputs";

const route = getRouteApi("/batch-endpoints/$name");

export default function BatchEndpointPage() {
  const { name } = route.useParams();
  const query = useQuery(batchEndpoint(name));
  return (
    <LoadedPage title={name} query={query}>
      {(endpoint) => (
        <Page
          title={endpoint.name}
          actions={
            <CopyAs
              cli={`batch-endpoint show ${endpoint.name}`}
              path={`batch-endpoints/${encodeURIComponent(endpoint.name)}`}
            />
          }
        >
          {endpoint.description && <Text>{endpoint.description}</Text>}
          <Group gap="xs">
            <Text size="sm">Invoked at</Text>
            <CopyValue value={endpoint.scoring_uri} />
          </Group>
          {endpoint.deployments.length === 0 ? (
            <Empty command="mlq batch-deployment create -f deployment.yml --set-default">
              Nothing stands behind it yet: publish a pipeline from the designer, or
            </Empty>
          ) : (
            <>
              <Invoke endpoint={endpoint} />
              <Deployments endpoint={endpoint} />
            </>
          )}
          <Jobs name={endpoint.name} />
        </Page>
      )}
    </LoadedPage>
  );
}

function Deployments({ endpoint }: { endpoint: BatchEndpoint }) {
  return (
    <Section title="Deployments">
      <Table.ScrollContainer type="native" tabIndex={0} minWidth={480}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Deployment</Table.Th>
              <Table.Th>Newest version</Table.Th>
              <Table.Th>Inputs</Table.Th>
              <Table.Th>Published</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {endpoint.deployments.map((one) => (
              <Table.Tr key={one.name}>
                <Table.Td>
                  {one.name}
                  {one.name === endpoint.default_deployment && (
                    <span className="quiet"> (default)</span>
                  )}
                </Table.Td>
                <Table.Td>
                  <Link
                    to="/designer"
                    search={{ endpoint: endpoint.name, deployment: one.name, version: one.version }}
                  >
                    v{one.version}
                  </Link>
                </Table.Td>
                <Table.Td>{Object.keys(one.inputs).join(", ") || "–"}</Table.Td>
                <Table.Td>
                  <Ago at={one.created_at} /> <span className="quiet">by {one.created_by}</span>
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Section>
  );
}

/** The inputs of a deployment as a form. */
function Invoke({ endpoint }: { endpoint: BatchEndpoint }) {
  const mayAct = useMayAct();
  const queries = useQueryClient();
  const [name, setName] = useState(
    endpoint.default_deployment ?? endpoint.deployments[0]?.name ?? "",
  );
  const [values, setValues] = useState<Record<string, string>>({});
  const [force, setForce] = useState(false);
  const deployment = endpoint.deployments.find((one) => one.name === name);
  const ports = portsOf((deployment as BatchDeployment | undefined)?.inputs ?? {});
  const body = {
    inputs: inputsOf(ports, values),
    deployment: name,
    ...(force && { force_rerun: true }),
  };
  const invoke = useMutation({
    mutationFn: () =>
      take(
        client.POST("/v1/batch-endpoints/{name}/jobs", {
          params: { path: { name: endpoint.name } },
          body: { force_rerun: false, ...body },
        }),
      ),
    onSuccess: async () => {
      tellDone(`${endpoint.name} is invoked.`);
      await queries.invalidateQueries({ queryKey: ["batch-endpoint", endpoint.name, "jobs"] });
    },
  });
  return (
    <Section title="Invoke">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          invoke.mutate();
        }}
      >
        <Stack>
          <SimpleGrid cols={{ base: 1, xs: 2, md: 4 }}>
            <Select
              label="Deployment"
              data={endpoint.deployments.map((one) => one.name)}
              value={name}
              allowDeselect={false}
              onChange={(chosen) => setName(chosen ?? "")}
            />
            {ports.map((port) => (
              <TextInput
                key={port.name}
                label={port.name}
                description={port.type}
                required={isRequired(port)}
                placeholder={port.given}
                value={values[port.name] ?? ""}
                onChange={(event) => {
                  const { value } = event.currentTarget;
                  setValues((old) => ({ ...old, [port.name]: value }));
                }}
              />
            ))}
          </SimpleGrid>
          <Group>
            <Button
              type="submit"
              loading={invoke.isPending}
              disabled={!mayAct}
              title={mayAct ? undefined : "Your token only looks"}
            >
              Invoke
            </Button>
            <Checkbox
              label="Run again what could be reused"
              checked={force}
              onChange={(event) => setForce(event.currentTarget.checked)}
            />
            <CopyAs
              cli={commandOf(endpoint.name, name, body.inputs)}
              path={`batch-endpoints/${encodeURIComponent(endpoint.name)}/jobs`}
              method="POST"
              body={body}
            />
          </Group>
          {invoke.error && <Trouble error={invoke.error} />}
        </Stack>
      </form>
    </Section>
  );
}

function isRequired({ given, isOptional }: Port): boolean {
  return given === undefined && !isOptional;
}

function commandOf(name: string, deployment: string, inputs: Record<string, unknown>): string {
  const set = Object.entries(inputs).map(
    ([key, value]) => ` --set ${key}=${JSON.stringify(value)}`,
  );
  return `batch-endpoint invoke ${name} --deployment ${deployment}${set.join("")}`;
}

function Jobs({ name }: { name: string }) {
  const query = useQuery(invocations(name));
  return (
    <Section title="Jobs">
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Text className="quiet">It has not been invoked yet.</Text>
          ) : (
            <Table.ScrollContainer type="native" tabIndex={0} minWidth={480}>
              <Table aria-label={`Jobs of ${name}`}>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>Job</Table.Th>
                    <Table.Th>State</Table.Th>
                    <Table.Th>Deployment</Table.Th>
                    <Table.Th>By</Table.Th>
                    <Table.Th>Invoked</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {items.map((one) => (
                    <Table.Tr key={one.job_id}>
                      <Table.Td className="mono">
                        <Link to="/jobs/$ref" params={{ ref: one.job_id }}>
                          {one.job_id.slice(0, 12)}
                        </Link>
                      </Table.Td>
                      <Table.Td>
                        <StateWords job={{ state: one.state as State, reason: one.reason }} />
                      </Table.Td>
                      <Table.Td>
                        {one.deployment} v{one.version}
                      </Table.Td>
                      <Table.Td>{one.invoked_by}</Table.Td>
                      <Table.Td>
                        <Ago at={one.at} />
                      </Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </Table.ScrollContainer>
          )
        }
      </Loaded>
    </Section>
  );
}
