import { Anchor, Button, Table, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { address } from "../api/root";
import type { Job } from "../api/client";
import { brief, bytes, short } from "../parts/format";
import { Named } from "../parts/named";
import { Preview } from "./Preview";

interface Stored {
  type?: string;
  value?: unknown;
  uri?: string;
  digest?: string;
  job?: string;
  output?: string;
}

/** What a job was given. steps: the job's siblings, to name those whose outputs it takes. */
export function Inputs({ job, steps = [] }: { job: Job; steps?: Job[] }) {
  const rows = Object.entries(job.inputs as Record<string, Stored>);
  if (rows.length === 0) return <Text className="quiet">No inputs.</Text>;
  return (
    <Table aria-label="Inputs">
      <Table.Tbody>
        {rows.map(([name, input]) => (
          <Table.Tr key={name}>
            <Table.Th w="35%">{name}</Table.Th>
            <Table.Td className="mono">
              <Input input={input} steps={steps} />
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

function Input({ input, steps }: { input: Stored; steps: Job[] }) {
  if (input.job) {
    const step = steps.find((one) => one.id === input.job);
    return (
      <Link to="." search={(old) => ({ ...old, step: step?.name ?? input.job, view: "data" })}>
        {step?.name ?? brief(input.job)} → {input.output}
      </Link>
    );
  }
  if (input.uri) return <Named uri={input.uri} />;
  if (input.digest) return <>{brief(input.digest)}</>;
  return <>{short(input.value)}</>;
}

interface Given {
  type?: string;
  value?: unknown;
  digest?: string;
  kind?: string;
  name?: string;
  size_bytes?: number;
  url?: string;
}

/** What a job gave back; files can be downloaded. */
export function Outputs({ job }: { job: Job }) {
  const rows = Object.entries(job.outputs as Record<string, Given>);
  if (rows.length === 0) return <Text className="quiet">No outputs yet.</Text>;
  return (
    <Table aria-label="Outputs">
      <Table.Tbody>
        {rows.map(([name, output]) => (
          <Table.Tr key={name}>
            <Table.Th w="35%">{name}</Table.Th>
            <Table.Td className="mono">
              {output.url ? (
                <Anchor
                  size="sm"
                  download
                  href={address(output.url + (output.kind === "tree" ? "?format=tar" : ""))}
                  title={output.digest}
                >
                  {output.name ?? name}
                  {output.size_bytes !== undefined && ` (${bytes(output.size_bytes)})`}
                </Anchor>
              ) : (
                short(output.value)
              )}
              {output.url && <Look output={output} name={output.name ?? name} url={output.url} />}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

function Look({ output, name, url }: { output: Given; name: string; url: string }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      {" "}
      <Button variant="subtle" size="compact-xs" onClick={() => setOpen(!isOpen)}>
        {isOpen ? "Hide" : "Show"}
      </Button>
      {isOpen && <Preview url={url} name={name} kind={output.kind} size={output.size_bytes} />}
    </>
  );
}
