import { Button, Group, Select, TextInput } from "@mantine/core";
import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowUp } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { Job } from "../api/client";
import { jobPages } from "../api/queries";
import { forgetSubmitted, useLive } from "../live/live";
import { CopyAs } from "../parts/copy";
import { Empty, Loaded, Page } from "../parts/page";
import { filterOf, formatFilter, type JobFilter, parseFilter, STATES } from "./filter";
import { JobHead, JobRow } from "./JobRow";

const route = getRouteApi("/jobs");
const ROW_HEIGHT = 44;

export default function JobsPage() {
  const filter = filterOf({ ...route.useSearch() });
  const query = useInfiniteQuery(jobPages(filter));
  return (
    <Page title="Jobs" actions={<CopyAs cli={commandOf(filter)} path={`jobs${queryOf(filter)}`} />}>
      <FilterBar filter={filter} />
      <NewJobs />
      <Loaded query={query}>
        {(data) => {
          const jobs = data.pages.flatMap((page) => page.items);
          if (jobs.length === 0) return <NoJobs isFiltered={formatFilter(filter) !== ""} />;
          return (
            <JobList
              jobs={jobs}
              hasMore={query.hasNextPage}
              onEnd={() => {
                if (!query.isFetching) void query.fetchNextPage();
              }}
            />
          );
        }}
      </Loaded>
    </Page>
  );
}

function FilterBar({ filter }: { filter: JobFilter }) {
  const navigate = route.useNavigate();
  const line = formatFilter(filter);
  const [words, setWords] = useState(line);
  useEffect(() => setWords(line), [line]);
  const apply = (next: JobFilter) => void navigate({ search: next });
  return (
    <Group gap="xs" align="end">
      <form
        role="search"
        style={{ flex: "1 1 16rem" }}
        onSubmit={(event) => {
          event.preventDefault();
          apply(parseFilter(words));
        }}
      >
        <TextInput
          aria-label="Filter"
          placeholder="churn   state:failed experiment:nightly is:step is:archived"
          value={words}
          onChange={(event) => setWords(event.currentTarget.value)}
        />
      </form>
      <Select
        aria-label="State"
        placeholder="Any state"
        clearable
        data={[...STATES]}
        value={filter.state ?? null}
        onChange={(state) => apply(filterOf({ ...filter, state }))}
        w={150}
      />
    </Group>
  );
}

/** New jobs wait behind a button: rows must not move under the eye. */
function NewJobs() {
  const { submitted } = useLive();
  const queries = useQueryClient();
  if (submitted === 0) return null;
  return (
    <Button
      variant="light"
      size="xs"
      leftSection={<ArrowUp size={14} aria-hidden />}
      style={{ alignSelf: "center" }}
      onClick={() => {
        forgetSubmitted();
        void queries.resetQueries({ queryKey: ["jobs"] });
      }}
    >
      {submitted} new
    </Button>
  );
}

function NoJobs({ isFiltered }: { isFiltered: boolean }) {
  if (isFiltered) return <Empty>No job fits this filter.</Empty>;
  return (
    <Empty command="mlq job create -f FILE --stream">No jobs yet. A job file starts one:</Empty>
  );
}

function JobList({ jobs, hasMore, onEnd }: { jobs: Job[]; hasMore: boolean; onEnd: () => void }) {
  const frame = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: jobs.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
  });
  const shown = rows.getVirtualItems();
  const last = shown.at(-1)?.index ?? 0;
  useEffect(() => {
    if (hasMore && last >= jobs.length - 10) onEnd();
  }, [hasMore, last, jobs.length, onEnd]);
  return (
    <div
      ref={frame}
      className="rows"
      role="table"
      aria-label="Jobs"
      aria-rowcount={hasMore ? -1 : jobs.length}
      tabIndex={0}
      style={{ maxHeight: "calc(100vh - 13rem)" }}
    >
      <JobHead />
      <div role="rowgroup" style={{ height: rows.getTotalSize(), position: "relative" }}>
        {shown.map((item) => {
          const job = jobs[item.index];
          if (!job) return null;
          return (
            <div
              key={job.id}
              role="presentation"
              style={{
                position: "absolute",
                left: 0,
                right: 0,
                transform: `translateY(${item.start}px)`,
              }}
            >
              <JobRow job={job} />
            </div>
          );
        })}
      </div>
    </div>
  );
}

function commandOf(filter: JobFilter): string {
  const flags = [
    filter.state && `--state ${filter.state}`,
    filter.experiment && `--experiment ${JSON.stringify(filter.experiment)}`,
    filter.name && `--name ${JSON.stringify(filter.name)}`,
  ].filter(Boolean);
  return ["job list", ...flags].join(" ");
}

function queryOf(filter: JobFilter): string {
  const query = new URLSearchParams(
    Object.entries(filter).map(([name, value]) => [name, String(value)]),
  ).toString();
  return query && `?${query}`;
}
