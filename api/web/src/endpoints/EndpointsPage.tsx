import { Anchor, Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { endpoints } from "../api/queries";
import { Empty, Loaded, Page } from "../parts/page";
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
    </Page>
  );
}
