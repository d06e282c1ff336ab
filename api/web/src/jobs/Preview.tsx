import { NavLink, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { take, ServerError } from "../api/client";
import { address } from "../api/root";
import { bytes } from "../parts/format";
import { Loaded } from "../parts/page";
import { imageType, kindOf, rowsOf } from "./preview";

const MOST_BYTES = 64 * 1024;
const MOST_IMAGE_BYTES = 8_000_000;
const MOST_ROWS = 100;

interface Props {
  /** Address below the server's root. */
  url: string;
  name: string;
  kind?: string;
  size?: number;
}

/** What is in an output, without a download: a table's first rows, a picture, a text, a folder. */
export function Preview({ url, name, kind, size }: Props) {
  if (kind === "tree") return <Folder url={url} />;
  const shown = kindOf(name);
  if (shown === "none" || (shown === "image" && (size ?? 0) > MOST_IMAGE_BYTES)) {
    return (
      <Text size="sm" className="quiet">
        {name} cannot be shown here; download it.
      </Text>
    );
  }
  return shown === "image" ? (
    <Picture url={url} name={name} />
  ) : (
    <Beginning url={url} name={name} />
  );
}

interface Entry {
  path: string;
  size_bytes: number;
}

function Folder({ url }: { url: string }) {
  const [chosen, choose] = useState<string>();
  const query = useQuery({
    queryKey: ["folder", url],
    queryFn: async () =>
      take(
        fetch(address(`${url}?format=json`)).then(async (response) => ({
          data: (await response.json()) as { items: Entry[] },
          response,
        })),
      ),
    staleTime: Infinity,
  });
  return (
    <Loaded query={query}>
      {({ items }) => {
        const entry =
          items.find((one) => one.path === chosen) ??
          items.find((one) => kindOf(one.path) !== "none");
        return (
          <Stack gap="xs">
            <div className="folder">
              {items.slice(0, 200).map((one) => (
                <NavLink
                  key={one.path}
                  component="button"
                  label={one.path}
                  rightSection={<Text size="xs">{bytes(one.size_bytes)}</Text>}
                  active={one === entry}
                  onClick={() => choose(one.path)}
                  py={2}
                />
              ))}
            </div>
            {entry && (
              <Preview
                key={entry.path}
                url={`${url}/${entry.path.split("/").map(encodeURIComponent).join("/")}`}
                name={entry.path}
                size={entry.size_bytes}
              />
            )}
          </Stack>
        );
      }}
    </Loaded>
  );
}

function Picture({ url, name }: { url: string; name: string }) {
  const query = useQuery({
    queryKey: ["picture", url],
    queryFn: async () => (await fetched(url)).blob(),
    staleTime: Infinity,
  });
  const [source, setSource] = useState<string>();
  useEffect(() => {
    if (!query.data) return undefined;
    // Outputs come without a type, so that no browser runs them; as a picture nothing in it runs.
    const made = URL.createObjectURL(new Blob([query.data], { type: imageType(name) }));
    setSource(made);
    return () => URL.revokeObjectURL(made);
  }, [query.data, name]);
  return (
    <Loaded query={query}>
      {() => source && <img src={source} alt={name} className="card picture" />}
    </Loaded>
  );
}

function Beginning({ url, name }: { url: string; name: string }) {
  const query = useQuery({
    queryKey: ["beginning", url],
    queryFn: async () => {
      const response = await fetched(url, { range: `bytes=0-${MOST_BYTES - 1}` });
      const whole = Number(response.headers.get("content-range")?.split("/")[1] ?? 0);
      return { text: await response.text(), isCut: whole > MOST_BYTES };
    },
    staleTime: Infinity,
  });
  return (
    <Loaded query={query}>
      {({ text, isCut }) => (
        <Stack gap={4}>
          <Content name={name} text={text} isCut={isCut} />
          {isCut && (
            <Text size="xs" className="quiet">
              The first {bytes(MOST_BYTES)}; the download has all of it.
            </Text>
          )}
        </Stack>
      )}
    </Loaded>
  );
}

function Content({ name, text, isCut }: { name: string; text: string; isCut: boolean }) {
  const kind = kindOf(name);
  if (kind === "table") {
    const rows = rowsOf(text, name.endsWith(".tsv") ? "\t" : ",", isCut);
    return <Rows rows={rows.slice(0, MOST_ROWS + 1)} />;
  }
  return (
    <pre className="block" tabIndex={0} aria-label={name}>
      {kind === "json" && !isCut ? indented(text) : text}
    </pre>
  );
}

function Rows({ rows: [head = [], ...rows] }: { rows: string[][] }) {
  return (
    <Table.ScrollContainer type="native" tabIndex={0} minWidth={300} mah={360}>
      <Table aria-label="First rows" fz="xs">
        <Table.Thead>
          <Table.Tr>
            {head.map((cell, index) => (
              <Table.Th key={index}>{cell}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row, number) => (
            <Table.Tr key={number}>
              {row.map((cell, index) => (
                <Table.Td key={index}>{cell}</Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

async function fetched(url: string, headers: Record<string, string> = {}): Promise<Response> {
  const response = await fetch(address(url), { headers });
  if (!response.ok)
    throw new ServerError(`The file cannot be read (${response.status}).`, response.status);
  return response;
}

function indented(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
