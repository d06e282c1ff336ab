import { Select, Stack, Table, Tabs, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type DataVersion, ServerError } from "../api/client";
import { dataDifference, dataLineage, dataPreview, dataProfile } from "../api/queries";
import { short } from "../parts/format";
import { LineageList } from "../parts/lineage";
import { Empty, Loaded, Section } from "../parts/page";
import { ColumnTable } from "./ColumnTable";
import { DifferenceView } from "./DifferenceView";
import { DATA_VIEWS, type DataSearch, type DataView } from "./search";

const LABELS: Record<DataView, string> = {
  rows: "First rows",
  columns: "Columns",
  changes: "Changes",
  lineage: "Used by",
};

interface Props {
  version: DataVersion;
  /** Newest first. */
  versions: DataVersion[];
  search: DataSearch;
  onSearch: (change: DataSearch) => void;
}

/** What is in a version of a dataset, how it differs from another, and who uses it. */
export function VersionView({ version, versions, search, onSearch }: Props) {
  const { view = "rows" } = search;
  return (
    <Section title={`Version ${version.version}`}>
      <Tabs
        value={view}
        onChange={(next) => onSearch({ view: next as DataView })}
        keepMounted={false}
      >
        <Tabs.List mb="sm">
          {DATA_VIEWS.map((one) => (
            <Tabs.Tab key={one} value={one}>
              {LABELS[one]}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="rows">
          <Rows version={version} />
        </Tabs.Panel>
        <Tabs.Panel value="columns">
          <Columns version={version} />
        </Tabs.Panel>
        <Tabs.Panel value="changes">
          <Changes
            version={version}
            versions={versions}
            base={search.base}
            onBase={(base) => onSearch({ base })}
          />
        </Tabs.Panel>
        <Tabs.Panel value="lineage">
          <UsedBy version={version} />
        </Tabs.Panel>
      </Tabs>
    </Section>
  );
}

function Rows({ version }: { version: DataVersion }) {
  const query = useQuery(dataPreview(version.name, version.version));
  return (
    <TableLoaded query={query}>
      {({ columns, rows, is_whole: isWhole }) => (
        <Stack gap="xs">
          <Table.ScrollContainer
            type="native"
            tabIndex={0}
            minWidth={columns.length * 110}
            mah={420}
          >
            <Table aria-label="First rows" fz="xs" stickyHeader>
              <Table.Thead>
                <Table.Tr>
                  {columns.map(({ name, type }) => (
                    <Table.Th key={name}>
                      {name} <span className="quiet">{type}</span>
                    </Table.Th>
                  ))}
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {rows.map((row, index) => (
                  <Table.Tr key={index}>
                    {row.map((cell, column) => (
                      <Table.Td key={column}>
                        {cell === null ? <span className="quiet">missing</span> : short(cell)}
                      </Table.Td>
                    ))}
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
          <Text size="xs" className="quiet">
            {isWhole ? `All ${rows.length} rows.` : `The first ${rows.length} rows.`}
          </Text>
        </Stack>
      )}
    </TableLoaded>
  );
}

function Columns({ version }: { version: DataVersion }) {
  const query = useQuery(dataProfile(version.name, version.version));
  return (
    <TableLoaded query={query}>
      {({ rows, columns }) => (
        <Stack gap="xs">
          <Text size="sm">
            {rows} rows, {columns.length} columns
          </Text>
          <ColumnTable columns={columns} />
        </Stack>
      )}
    </TableLoaded>
  );
}

function Changes({
  version,
  versions,
  base: given,
  onBase,
}: {
  version: DataVersion;
  versions: DataVersion[];
  base?: number;
  onBase: (base: number) => void;
}) {
  const others = versions.filter((one) => one.version !== version.version);
  const base = others.some((one) => one.version === given)
    ? given
    : (others.find((one) => one.version < version.version) ?? others[0])?.version;
  const query = useQuery({
    ...dataDifference(version.name, version.version, base ?? 0),
    enabled: base !== undefined,
  });
  if (base === undefined) return <Empty>There is no other version to compare it with.</Empty>;
  return (
    <Stack gap="sm">
      <Select
        label="Compared with"
        maw={220}
        allowDeselect={false}
        data={others.map((one) => ({ value: String(one.version), label: `v${one.version}` }))}
        value={String(base)}
        onChange={(chosen) => onBase(Number(chosen))}
      />
      <TableLoaded query={query}>
        {(difference) => <DifferenceView difference={difference} />}
      </TableLoaded>
    </Stack>
  );
}

function UsedBy({ version }: { version: DataVersion }) {
  const query = useQuery(dataLineage(version.name, version.version));
  return (
    <Loaded query={query}>
      {({ downstream }) => (
        <LineageList nodes={downstream} none="No job has been given this version yet." />
      )}
    </Loaded>
  );
}

/** As `Loaded`; that some file is no table is nothing wrong. */
function TableLoaded<T>({
  query,
  children,
}: {
  query: { data: T | undefined; error: unknown };
  children: (data: T) => React.ReactNode;
}) {
  const { error } = query;
  if (error instanceof ServerError && error.code === "not_a_table") {
    return (
      <Empty>
        {error.message} <span className="quiet">{error.hint}</span>
      </Empty>
    );
  }
  return <Loaded query={query}>{children}</Loaded>;
}
