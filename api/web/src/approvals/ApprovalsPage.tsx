import { Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { approvals } from "../api/queries";
import { CopyAs } from "../parts/copy";
import { Empty, Loaded, Page } from "../parts/page";
import { ApprovalCard } from "./ApprovalCard";

export default function ApprovalsPage() {
  const query = useQuery(approvals);
  return (
    <Page title="Approvals" actions={<CopyAs cli="approval list" path="approvals" />}>
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty>
              Nothing waits for a decision. A pipeline asks for one with a step of the component
              mlq:approve.
            </Empty>
          ) : (
            <Stack>
              {items.map((one) => (
                <ApprovalCard key={one.id} approval={one} />
              ))}
            </Stack>
          )
        }
      </Loaded>
    </Page>
  );
}
