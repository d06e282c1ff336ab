import { Checkbox, Table, Text } from "@mantine/core";
import { useQueries } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { Job } from "../api/client";
import { job as jobQuery } from "../api/queries";
import { Empty, Page, Trouble } from "../parts/page";
import { aspectsOf, differences, MOST_COMPARED } from "./compare";
import { jobName } from "./JobRow";

const route = getRouteApi("/compare");

export default function ComparePage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const refs = search.jobs?.split(",").filter(Boolean).slice(0, MOST_COMPARED) ?? [];
  const queries = useQueries({ queries: refs.map((ref) => jobQuery(ref)) });
  const error = queries.find((query) => query.error)?.error;
  const jobs = queries.flatMap((query): Job[] => (query.data ? [query.data] : []));
  const aspects = aspectsOf(jobs);
  const shown = search.all ? aspects : differences(aspects);
  return (
    <Page
      title="Compare jobs"
      actions={
        <Checkbox
          label="Differences only"
          checked={!search.all}
          onChange={(event) => {
            const isOnly = event.currentTarget.checked;
            void navigate({
              search: (old) => ({ ...old, all: isOnly ? undefined : true }),
              replace: true,
            });
          }}
        />
      }
    >
      {error && <Trouble error={error} />}
      {refs.length < 2 ? (
        <Empty>Choose two jobs or more in the list of jobs, then Compare.</Empty>
      ) : jobs.length === refs.length && shown.length === 0 ? (
        <Text>They differ in nothing that is compared here.</Text>
      ) : (
        <Table.ScrollContainer type="native" tabIndex={0} minWidth={220 + jobs.length * 150}>
          <Table aria-label="What the jobs differ in">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>What</Table.Th>
                {jobs.map((one) => (
                  <Table.Th key={one.id}>
                    <Link to="/jobs/$ref" params={{ ref: one.id }}>
                      {jobName(one)}
                    </Link>
                    <div className="mono quiet">{one.id.slice(0, 12)}</div>
                  </Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {shown.map(({ group, name, values }) => (
                <Table.Tr key={group + name}>
                  <Table.Th>
                    {name} <span className="quiet">{group.toLowerCase()}</span>
                  </Table.Th>
                  {values.map((value, index) => (
                    <Table.Td key={jobs[index]?.id} className="mono">
                      {value ?? "–"}
                    </Table.Td>
                  ))}
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </Page>
  );
}
