import { Anchor, Table } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { address } from "../api/root";
import { dataVersions } from "../api/queries";
import { CopyAs, CopyValue } from "../parts/copy";
import { brief, bytes } from "../parts/format";
import { Download, Loaded, Page } from "../parts/page";
import { Ago } from "../parts/time";
import { NewVersion } from "./NewVersion";
import type { DataSearch } from "./search";
import { VersionView } from "./VersionView";

const route = getRouteApi("/data/$name");

export default function DatasetPage() {
  const { name } = route.useParams();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const query = useQuery(dataVersions(name));
  const change = (to: DataSearch) =>
    void navigate({ search: (old) => ({ ...old, ...to }), replace: true, resetScroll: false });
  const base = `data/${encodeURIComponent(name)}`;
  return (
    <Page title={name} actions={<CopyAs cli={`data show ${name}`} path={base} />}>
      <NewVersion name={name} />
      <Loaded query={query}>
        {({ items }) => {
          const shown = items.find((one) => one.version === search.version) ?? items[0];
          return (
            <>
              <Table.ScrollContainer type="native" tabIndex={0} minWidth={640}>
                <Table>
                  <Table.Thead>
                    <Table.Tr>
                      <Table.Th>Version</Table.Th>
                      <Table.Th>Reference</Table.Th>
                      <Table.Th>File</Table.Th>
                      <Table.Th>Size</Table.Th>
                      <Table.Th>Content</Table.Th>
                      <Table.Th>Made</Table.Th>
                      <Table.Th>Description</Table.Th>
                    </Table.Tr>
                  </Table.Thead>
                  <Table.Tbody>
                    {items.map((one) => (
                      <Table.Tr
                        key={one.version}
                        bg={one === shown ? "var(--soft)" : undefined}
                        aria-current={one === shown ? "true" : undefined}
                      >
                        <Table.Td>
                          <Anchor
                            component="button"
                            size="sm"
                            onClick={() => change({ version: one.version, base: undefined })}
                          >
                            v{one.version}
                          </Anchor>
                        </Table.Td>
                        <Table.Td>
                          <CopyValue value={one.id} />
                        </Table.Td>
                        <Table.Td>
                          <Download href={address(`/v1/${base}/versions/${one.version}/content`)}>
                            {one.file_name}
                          </Download>
                        </Table.Td>
                        <Table.Td>{bytes(one.size_bytes)}</Table.Td>
                        <Table.Td>
                          <CopyValue value={one.digest} shown={brief(one.digest)} />
                        </Table.Td>
                        <Table.Td>
                          <Ago at={one.created_at} /> by {one.created_by}
                        </Table.Td>
                        <Table.Td className="quiet">{one.description}</Table.Td>
                      </Table.Tr>
                    ))}
                  </Table.Tbody>
                </Table>
              </Table.ScrollContainer>
              {shown && (
                <VersionView
                  key={shown.version}
                  version={shown}
                  versions={items}
                  search={search}
                  onSearch={change}
                />
              )}
            </>
          );
        }}
      </Loaded>
    </Page>
  );
}
