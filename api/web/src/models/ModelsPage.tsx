import { Anchor, Badge, Group, Table } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Model } from "../api/client";
import { models, modelVersions } from "../api/queries";
import { Sparkline } from "../parts/chart";
import { number, signed } from "../parts/format";
import { Empty, Loaded, Page } from "../parts/page";
import { Ago } from "../parts/time";
import { leadingMetric, trend } from "./trend";

export default function ModelsPage() {
  const query = useQuery(models);
  return (
    <Page title="Models">
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty command="mlq demo">
              No models yet. A pipeline that ends in mlq:register makes one; the demo does so too:
            </Empty>
          ) : (
            <ModelTable models={items} />
          )
        }
      </Loaded>
    </Page>
  );
}

export function ModelTable({ models: items }: { models: Model[] }) {
  return (
    <Table.ScrollContainer type="native" tabIndex={0} minWidth={620}>
      <Table highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Model</Table.Th>
            <Table.Th>Champion</Table.Th>
            <Table.Th>Metric</Table.Th>
            <Table.Th>Trend</Table.Th>
            <Table.Th>Aliases</Table.Th>
            <Table.Th>Made</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {items.map((model) => (
            <Row key={model.name} model={model} />
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function Row({ model }: { model: Model }) {
  const versions = useQuery(modelVersions(model.name)).data?.items ?? [];
  const metric = leadingMetric(versions);
  const points = metric ? trend(versions, metric) : [];
  const champion = model.aliases.production;
  const place = points.findIndex(([version]) => version === champion);
  const value = points[place]?.[1];
  const before = points[place - 1]?.[1];
  return (
    <Table.Tr>
      <Table.Td>
        <Anchor component={Link} to={`/models/${encodeURIComponent(model.name)}`} size="sm">
          {model.name}
        </Anchor>
      </Table.Td>
      <Table.Td>
        {champion ? `v${champion}` : "none"}
        <span className="quiet"> of v{model.latest_version}</span>
      </Table.Td>
      <Table.Td>
        {metric && value !== undefined ? `${metric} ${number(value)}` : "–"}
        {value !== undefined && before !== undefined && (
          <span className="quiet"> ({signed(value - before)})</span>
        )}
      </Table.Td>
      <Table.Td>
        <Sparkline
          values={points.map(([, y]) => y)}
          name={`${metric}: ${points.map(([version, y]) => `v${version} ${number(y)}`).join(", ")}`}
        />
      </Table.Td>
      <Table.Td>
        <Aliases aliases={Object.entries(model.aliases)} />
      </Table.Td>
      <Table.Td>
        <Ago at={model.created_at} />
      </Table.Td>
    </Table.Tr>
  );
}

function Aliases({ aliases }: { aliases: [string, number][] }) {
  return (
    <Group gap={4}>
      {aliases.map(([alias, version]) => (
        <Badge key={alias} variant="default" tt="none">
          {alias} → v{version}
        </Badge>
      ))}
    </Group>
  );
}
