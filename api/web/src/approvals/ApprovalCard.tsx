import { Button, Group, Stack, Table, Text } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Check, X } from "lucide-react";
import { useState } from "react";
import { type Approval, client, take } from "../api/client";
import { Confirm, tellDone } from "../parts/confirm";
import { number, short } from "../parts/format";
import { useMayAct } from "../parts/role";
import { Ago } from "../parts/time";
import { Named } from "../parts/named";

/** One decision that waits for a person: what it is about, its numbers, and the two answers. */
export function ApprovalCard({ approval }: { approval: Approval }) {
  const mayAct = useMayAct();
  const queries = useQueryClient();
  const [answer, setAnswer] = useState<"approve" | "reject">();
  const shown = `${approval.root_name} / ${approval.path}`;
  const why = mayAct ? undefined : "Your token only looks";
  return (
    <Stack className="card" p="md" gap="xs" component="article" aria-label={shown}>
      <Group justify="space-between" align="start">
        <div>
          <Link to="/jobs/$ref" params={{ ref: approval.root_id }} search={{ step: approval.path }}>
            {shown}
          </Link>
          <Text size="sm" className="quiet">
            submitted by {approval.submitted_by} · waits since <Ago at={approval.waiting_since} />
            {approval.expires_at && (
              <> · turned down by itself {new Date(approval.expires_at).toLocaleString()}</>
            )}
          </Text>
        </div>
        <Group gap="xs">
          <Button
            variant="default"
            leftSection={<X size={14} aria-hidden />}
            disabled={!mayAct}
            title={why}
            onClick={() => setAnswer("reject")}
          >
            Reject
          </Button>
          <Button
            leftSection={<Check size={14} aria-hidden />}
            disabled={!mayAct}
            title={why}
            onClick={() => setAnswer("approve")}
          >
            Approve
          </Button>
        </Group>
      </Group>
      {approval.message && <Text>{approval.message}</Text>}
      <Numbers approval={approval} />
      <Text size="sm" className="quiet">
        {whoMay(approval)}
      </Text>
      <Confirm
        opened={answer !== undefined}
        onClose={() => setAnswer(undefined)}
        title={`${answer === "reject" ? "Reject" : "Approve"} ${shown}?`}
        act={answer === "reject" ? "Reject" : "Approve"}
        danger={answer === "reject"}
        withReason
        onConfirm={async (comment) => {
          const asked = { params: { path: { ref: approval.id } }, body: { comment } };
          await take(
            answer === "reject"
              ? client.POST("/v1/approvals/{ref}/reject", asked)
              : client.POST("/v1/approvals/{ref}/approve", asked),
          );
          tellDone(`${shown} is ${answer === "reject" ? "rejected" : "approved"}.`);
          await queries.invalidateQueries({ queryKey: ["approvals"] });
          await queries.invalidateQueries({ queryKey: ["job"] });
        }}
      >
        <Text size="sm">
          {answer === "reject"
            ? "It fails as rejected, and what comes after it is skipped."
            : "What comes after it goes on. The first decision counts."}
        </Text>
      </Confirm>
    </Stack>
  );
}

function Numbers({ approval }: { approval: Approval }) {
  const subject = Object.entries(approval.subject as Record<string, { value?: unknown }>);
  const numbers = Object.entries(approval.numbers).flatMap(([step, metrics]) =>
    Object.entries(metrics).map(([metric, value]) => [`${step}.${metric}`, value] as const),
  );
  if (subject.length + numbers.length === 0) return null;
  return (
    <Table aria-label={`What ${approval.path} is about`} maw={640}>
      <Table.Tbody>
        {subject.map(([name, { value }]) => (
          <Table.Tr key={name}>
            <Table.Th w="50%">{name}</Table.Th>
            <Table.Td className="mono">
              {typeof value === "string" ? <Named uri={value} /> : short(value)}
            </Table.Td>
          </Table.Tr>
        ))}
        {numbers.map(([name, value]) => (
          <Table.Tr key={name}>
            <Table.Th w="50%">{name}</Table.Th>
            <Table.Td>{number(value)}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

function whoMay({ approvers, role, four_eyes, submitted_by }: Approval): string {
  const who = approvers.length > 0 ? approvers.join(", ") : `any ${role}`;
  return `May decide: ${who}${four_eyes ? `, but ${submitted_by} may not approve it` : ""}.`;
}
