import { Anchor, Badge, Button, Group, Select, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import { address } from "../api/root";
import type { AliasMove, Model, ModelVersion } from "../api/client";
import {
  endpoints as endpointsQuery,
  model,
  modelHistory,
  modelLineage,
  modelVersions,
} from "../api/queries";
import { LineChart } from "../parts/chart";
import { CopyAs } from "../parts/copy";
import { number } from "../parts/format";
import { LineageList } from "../parts/lineage";
import { Download, Empty, Facts, Loaded, LoadedPage, Page, Section } from "../parts/page";
import { useMayAct } from "../parts/role";
import { Ago } from "../parts/time";
import { type AliasAct, AliasDialog } from "./AliasDialog";
import { Report } from "./Report";
import {
  breaksOf,
  isMinimized,
  leadingMetric,
  metricNames,
  rollbackTarget,
  rollbackTargets,
  trend,
} from "./trend";

const route = getRouteApi("/models/$name");
const CHAMPION = "production";

export default function ModelPage() {
  const { name } = route.useParams();
  const found = useQuery(model(name));
  const versions = useQuery(modelVersions(name));
  const history = useQuery(modelHistory(name));
  return (
    <LoadedPage title={name} query={found}>
      {(one) => (
        <Loaded query={versions}>
          {(pages) => (
            <Shown model={one} versions={pages.items} moves={history.data?.items ?? []} />
          )}
        </Loaded>
      )}
    </LoadedPage>
  );
}

interface Props {
  model: Model;
  versions: ModelVersion[];
  moves: AliasMove[];
}

function Shown({ model: one, versions, moves }: Props) {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const mayAct = useMayAct();
  const [act, setAct] = useState<AliasAct>();
  const champion = one.aliases[CHAMPION];
  const back = rollbackTarget(moves, CHAMPION);
  const metric = search.metric ?? leadingMetric(versions);
  const version = versions.find((each) => each.version === (search.version ?? champion));
  const pick = (number: number) =>
    void navigate({ search: (old) => ({ ...old, version: number }), replace: true });
  return (
    <Page
      title={one.name}
      actions={
        <>
          <Button
            color="red.8"
            disabled={!mayAct || back === undefined}
            title={back === undefined ? "There is nothing before the champion" : undefined}
            onClick={() => back !== undefined && setAct({ kind: "rollback", to: back })}
          >
            {back === undefined ? "Roll back" : `Roll back to v${back}`}
          </Button>
          <CopyAs cli={`model show ${one.name}`} path={`models/${encodeURIComponent(one.name)}`} />
        </>
      }
    >
      {one.description && <Text>{one.description}</Text>}
      <Group gap="xs">
        {Object.entries(one.aliases).map(([alias, at]) => (
          <Badge
            key={alias}
            variant={alias === CHAMPION ? "filled" : "default"}
            tt="none"
            size="lg"
          >
            {alias} → v{at}
          </Badge>
        ))}
      </Group>
      {metric ? (
        <Trend
          versions={versions}
          moves={moves}
          metric={metric}
          selected={version?.version}
          onPick={pick}
        />
      ) : (
        <Empty>Its versions have no metrics yet: mlq:evaluate before mlq:register adds them.</Empty>
      )}
      <div className="split halves">
        <Stack style={{ minWidth: 0 }}>
          <Versions
            versions={versions}
            champion={champion}
            earlier={rollbackTargets(moves, CHAMPION)}
            selected={version?.version}
            onPick={pick}
            onAct={mayAct ? setAct : undefined}
          />
          <Moves moves={moves} />
        </Stack>
        {version && <VersionPanel version={version} name={one.name} />}
      </div>
      <AliasDialog
        model={one}
        versions={versions}
        alias={CHAMPION}
        act={act}
        onClose={() => setAct(undefined)}
      />
    </Page>
  );
}

function Trend({
  versions,
  moves,
  metric,
  selected,
  onPick,
}: {
  versions: ModelVersion[];
  moves: AliasMove[];
  metric: string;
  selected?: number;
  onPick: (version: number) => void;
}) {
  const navigate = route.useNavigate();
  const points = trend(versions, metric);
  const breaks = breaksOf(versions, metric);
  const promoted = new Set<number>();
  const left = new Set<number>();
  for (const move of moves) {
    if (move.alias !== CHAMPION) continue;
    if (move.act === "rollback" && move.previous) left.add(move.previous);
    else if (move.version) promoted.add(move.version);
  }
  const words = (version: number, value: number) =>
    `v${version}: ${metric} ${number(value)}` +
    (promoted.has(version) ? ", promoted" : "") +
    (left.has(version) ? ", rolled back" : "") +
    (breaks.has(version) ? ", measured on other rows than the one before" : "");
  return (
    <Section
      title={`${metric} over versions`}
      actions={
        <Select
          size="xs"
          aria-label="Metric"
          data={metricNames(versions)}
          value={metric}
          allowDeselect={false}
          onChange={(name) =>
            void navigate({ search: (old) => ({ ...old, metric: name ?? undefined }) })
          }
        />
      }
    >
      <div className="card" style={{ padding: "0.5rem" }}>
        {points.length === 0 ? (
          <Text className="quiet">No version has this metric.</Text>
        ) : (
          <LineChart
            name={`${metric} by version`}
            height={230}
            points={points.map(([x, y]) => ({
              x,
              y,
              label: words(x, y),
              isSelected: x === selected,
              mark: (
                <>
                  {promoted.has(x) && <path d="M-5 4L0 -4L5 4Z" fill="var(--state-succeeded)" />}
                  {left.has(x) && (
                    <path
                      d="M-5 -6L0 2L5 -6Z"
                      fill="var(--state-failed)"
                      transform="translate(0 -6)"
                    />
                  )}
                </>
              ),
            }))}
            xTicks={points
              .filter((_, index) => index % Math.ceil(points.length / 12) === 0)
              .map(([x]) => ({ x, label: `v${x}` }))}
            breaks={breaks}
            threshold={thresholdOf(versions, metric)}
            onPick={onPick}
          />
        )}
        <Text size="xs" className="quiet" px="xs">
          ▲ promoted ▼ rolled back ┄ threshold of the newest gate
          {breaks.size > 0 && " · the line breaks where the evaluation data changed"}
          {isMinimized(versions, metric) && " · lower is better"}
        </Text>
      </div>
    </Section>
  );
}

function thresholdOf(versions: ModelVersion[], metric: string): number | undefined {
  const report = versions[0]?.report as
    { thresholds?: { metric: string; bound: number }[] } | undefined;
  return report?.thresholds?.find((one) => one.metric === metric)?.bound;
}

function Versions({
  versions,
  champion,
  earlier,
  selected,
  onPick,
  onAct,
}: {
  versions: ModelVersion[];
  champion?: number;
  earlier: Set<number>;
  selected?: number;
  onPick: (version: number) => void;
  onAct?: (act: AliasAct) => void;
}) {
  return (
    <Section title="Versions">
      <Table.ScrollContainer type="native" tabIndex={0} minWidth={480}>
        <Table highlightOnHover>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Version</Table.Th>
              <Table.Th>Aliases</Table.Th>
              <Table.Th>Made</Table.Th>
              <Table.Th />
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {versions.map((one) => (
              <Table.Tr key={one.version} bg={one.version === selected ? "var(--soft)" : undefined}>
                <Table.Td>
                  <Anchor component="button" size="sm" onClick={() => onPick(one.version)}>
                    v{one.version}
                  </Anchor>
                </Table.Td>
                <Table.Td>{one.aliases.join(", ")}</Table.Td>
                <Table.Td style={{ whiteSpace: "nowrap" }}>
                  <Ago at={one.created_at} /> by {one.created_by}
                </Table.Td>
                <Table.Td ta="right">
                  {onAct && one.version !== champion && (
                    <MoveButton
                      version={one.version}
                      isBack={earlier.has(one.version)}
                      onAct={onAct}
                    />
                  )}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Section>
  );
}

function MoveButton({
  version,
  isBack,
  onAct,
}: {
  version: number;
  isBack: boolean;
  onAct: (act: AliasAct) => void;
}) {
  return (
    <Button
      size="compact-xs"
      variant="default"
      onClick={() => onAct({ kind: isBack ? "rollback" : "promote", to: version })}
    >
      {isBack ? "Roll back to" : "Promote"} v{version}
    </Button>
  );
}

function Moves({ moves }: { moves: AliasMove[] }) {
  return (
    <Section title="History of its aliases">
      <Table.ScrollContainer type="native" tabIndex={0} minWidth={480}>
        <Table>
          <Table.Tbody>
            {moves.map((move) => (
              <Table.Tr key={`${move.at} ${move.alias}`}>
                <Table.Td>
                  <b>{move.act}</b> {move.alias}
                </Table.Td>
                <Table.Td>
                  {move.previous ? `v${move.previous}` : "–"} →{" "}
                  {move.version ? `v${move.version}` : "–"}
                </Table.Td>
                <Table.Td>
                  <Ago at={move.at} /> by {move.actor}
                </Table.Td>
                <Table.Td className="quiet">{move.reason}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Section>
  );
}

function VersionPanel({ version, name }: { version: ModelVersion; name: string }) {
  const served = (useQuery(endpointsQuery).data?.items ?? []).flatMap((endpoint) =>
    endpoint.deployments
      .filter((one) => one.version === version.version && one.model.startsWith(`models:/${name}`))
      .map((one) => `${endpoint.name}/${one.name} (${endpoint.traffic[one.name] ?? 0} %)`),
  );
  const base = `/v1/models/${encodeURIComponent(name)}/versions/${version.version}`;
  return (
    <Stack className="card" p="sm" component="section" aria-label={`Version ${version.version}`}>
      <Group justify="space-between">
        <Text fw={600}>v{version.version}</Text>
        <Group gap="sm">
          <Download href={address(`${base}/card?format=html`)}>Model card</Download>
          <Download href={address(`${base}/package`)}>Package</Download>
        </Group>
      </Group>
      {version.description && <Text size="sm">{version.description}</Text>}
      <Facts
        rows={[
          ["Address", <span className="mono">{version.uri}</span>],
          [
            "Made by",
            version.job_id ? (
              <Link to="/jobs/$ref" params={{ ref: version.job_id }}>
                its job
              </Link>
            ) : (
              version.created_by
            ),
          ],
          ["Serves", served.length > 0 ? served.join(", ") : "nothing now"],
        ]}
      />
      <Report version={version} />
      <Lineage name={name} version={version.version} />
    </Stack>
  );
}

function Lineage({ name, version }: { name: string; version: number }) {
  const query = useQuery(modelLineage(name, version));
  return (
    <Loaded query={query}>
      {({ upstream, downstream }) => (
        <>
          <Title order={3} size="sm">
            Came from
          </Title>
          <LineageList nodes={upstream} none="Nothing is known: it was registered from outside." />
          <Title order={3} size="sm">
            Used by
          </Title>
          <LineageList nodes={downstream} none="Nothing uses it." />
        </>
      )}
    </Loaded>
  );
}
