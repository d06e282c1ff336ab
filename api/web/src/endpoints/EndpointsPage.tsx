import { Anchor, Group, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { batchEndpoints, endpoints } from "../api/queries";
import { Empty, Loaded, Page, Section } from "../parts/page";
import { Ago } from "../parts/time";
import { TrafficBar } from "./TrafficBar";

export default function EndpointsPage() {
  const query = useQuery(endpoints);
  return (
    <Page title="Endpoints">
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty command="mlq online-endpoint create --name NAME">
              No endpoints yet. A pipeline that ends in mlq:deploy makes one, and so does:
            </Empty>
          ) : (
            <Stack>
              {items.map((endpoint) => (
                <Stack key={endpoint.name} className="card" p="md" gap="xs">
                  <Group justify="space-between">
                    <Anchor
                      component={Link}
                      to={`/endpoints/${encodeURIComponent(endpoint.name)}`}
                      fw={600}
                    >
                      {endpoint.name}
                    </Anchor>
                    <Text size="sm" className="quiet">
                      changed <Ago at={endpoint.updated_at} />
                    </Text>
                  </Group>
                  <TrafficBar endpoint={endpoint} />
                  <Text size="sm" className="quiet">
                    {endpoint.deployments
                      .map((one) => `${one.name}: ${one.model} (v${one.version ?? "–"})`)
                      .join(" · ")}
                  </Text>
                </Stack>
              ))}
            </Stack>
          )
        }
      </Loaded>
      <BatchEndpoints />
    </Page>
  );
}

/** Published pipelines and models, which answer a job instead of a prediction. */
function BatchEndpoints() {
  const query = useQuery(batchEndpoints);
  return (
    <Section title="Batch endpoints">
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty command="mlq batch-endpoint create -f endpoint.yml">
              No batch endpoints yet. The designer publishes a pipeline as one, and so does:
            </Empty>
          ) : (
            <Table.ScrollContainer type="native" tabIndex={0} minWidth={480}>
              <Table>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>Endpoint</Table.Th>
                    <Table.Th>Deployments</Table.Th>
                    <Table.Th>Changed</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {items.map((one) => (
                    <Table.Tr key={one.name}>
                      <Table.Td>
                        <Link to="/batch-endpoints/$name" params={{ name: one.name }}>
                          {one.name}
                        </Link>
                      </Table.Td>
                      <Table.Td>
                        {one.deployments
                          .map(({ name, version }) => `${name} v${version}`)
                          .join(", ") || "none yet"}
                      </Table.Td>
                      <Table.Td>
                        <Ago at={one.updated_at} />
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
