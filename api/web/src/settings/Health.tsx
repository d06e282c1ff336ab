import { Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { CircleCheck, CircleX } from "lucide-react";
import { doctor } from "../api/queries";
import { Loaded, Section } from "../parts/page";

export function Health() {
  const query = useQuery(doctor);
  return (
    <Section title="Health">
      <Loaded query={query}>
        {({ checks }) => (
          <Table aria-label="What the server finds when it examines itself">
            <Table.Tbody>
              {checks.map((check) => {
                const Icon = check.ok ? CircleCheck : CircleX;
                return (
                  <Table.Tr key={check.name}>
                    <Table.Td w={170}>
                      <span className={`state ${check.ok ? "succeeded" : "failed"}`}>
                        <Icon size={16} role="img" aria-label={check.ok ? "well" : "not well"} />
                        {check.name}
                      </span>
                    </Table.Td>
                    <Table.Td>
                      {check.detail}
                      {check.fix && <Text size="sm">{check.fix}</Text>}
                    </Table.Td>
                  </Table.Tr>
                );
              })}
            </Table.Tbody>
          </Table>
        )}
      </Loaded>
    </Section>
  );
}
