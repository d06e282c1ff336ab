import { Anchor, Table } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { datasets } from "../api/queries";
import { CopyAs } from "../parts/copy";
import { bytes } from "../parts/format";
import { Empty, Loaded, Page } from "../parts/page";
import { Ago } from "../parts/time";
import { NewVersion } from "./NewVersion";

export default function DataPage() {
  const query = useQuery(datasets);
  return (
    <Page title="Data" actions={<CopyAs cli="data list" path="data" />}>
      <NewVersion />
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty command="mlq data create --name NAME --path FILE">No datasets yet:</Empty>
          ) : (
            <Table.ScrollContainer type="native" tabIndex={0} minWidth={520}>
              <Table highlightOnHover>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>Dataset</Table.Th>
                    <Table.Th>Newest</Table.Th>
                    <Table.Th>Size</Table.Th>
                    <Table.Th>Made</Table.Th>
                    <Table.Th>Description</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {items.map(({ name, latest_version, latest }) => (
                    <Table.Tr key={name}>
                      <Table.Td>
                        <Anchor component={Link} to={`/data/${encodeURIComponent(name)}`} size="sm">
                          {name}
                        </Anchor>
                      </Table.Td>
                      <Table.Td>v{latest_version}</Table.Td>
                      <Table.Td>{latest ? bytes(latest.size_bytes) : "–"}</Table.Td>
                      <Table.Td>
                        <Ago at={latest?.created_at} />
                      </Table.Td>
                      <Table.Td className="quiet">{latest?.description}</Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </Table.ScrollContainer>
          )
        }
      </Loaded>
    </Page>
  );
}
