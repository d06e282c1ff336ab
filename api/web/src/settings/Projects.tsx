import { Button, Group, Stack, Table, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { client, take } from "../api/client";
import { projects, tokens, whoami } from "../api/queries";
import { CopyAs } from "../parts/copy";
import { Loaded, Section, Trouble } from "../parts/page";

/** What keeps teams apart: each project with the tokens that reach it. */
export function Projects() {
  const query = useQuery(projects);
  const isAdmin = useQuery(whoami).data?.role === "admin";
  const known = useQuery({ ...tokens, enabled: isAdmin }).data?.items ?? [];
  const living = known.filter(
    (one) => !one.revoked_at && !(one.expires_at && Date.parse(one.expires_at) < Date.now()),
  );
  return (
    <Section title="Projects" actions={<CopyAs path="projects" />}>
      <Text size="sm">
        Jobs, data, models and endpoints of a project are out of reach for tokens of another one. A
        token without a project reaches all.
      </Text>
      {isAdmin && <NewProject />}
      <Loaded query={query}>
        {({ items }) => (
          <Table aria-label="Projects and their members">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Project</Table.Th>
                <Table.Th>Tokens</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {items.map(({ name }) => (
                <Table.Tr key={name}>
                  <Table.Td>{name}</Table.Td>
                  <Table.Td>
                    {living
                      .filter((one) => one.project === name)
                      .map((one) => `${one.name} (${one.role})`)
                      .join(", ") || <span className="quiet">none of its own</span>}
                  </Table.Td>
                </Table.Tr>
              ))}
              {isAdmin && (
                <Table.Tr>
                  <Table.Td className="quiet">all of them</Table.Td>
                  <Table.Td>
                    {living
                      .filter((one) => !one.project)
                      .map((one) => `${one.name} (${one.role})`)
                      .join(", ") || "–"}
                  </Table.Td>
                </Table.Tr>
              )}
            </Table.Tbody>
          </Table>
        )}
      </Loaded>
    </Section>
  );
}

function NewProject() {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const make = useMutation({
    mutationFn: () => take(client.POST("/v1/projects", { body: { name } })),
    onSuccess: () => {
      setName("");
      void queries.invalidateQueries({ queryKey: ["projects"] });
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        make.mutate();
      }}
    >
      <Stack gap="xs">
        <Group align="end" gap="xs">
          <TextInput
            label="Name"
            required
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <Button type="submit" loading={make.isPending}>
            Make a project
          </Button>
        </Group>
        {make.error && <Trouble error={make.error} />}
      </Stack>
    </form>
  );
}
