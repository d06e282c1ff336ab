import { Button } from "@mantine/core";
import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowUp } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { Job } from "../api/client";
import { jobPages } from "../api/queries";
import { forgetSubmitted, useLive } from "../live/live";
import { CopyAs } from "../parts/copy";
import { Empty, Loaded, Page } from "../parts/page";
import { MOST_COMPARED } from "./compare";
import { columnsOf, conditionsOf, formatFilter, type JobFilter } from "./filter";
import { JobHead, JobRow, shapeOf } from "./JobRow";
import { ListTools } from "./ListTools";

const route = getRouteApi("/jobs");
const ROW_HEIGHT = 44;

export default function JobsPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { columns: shown, ...filter } = search;
  const columns = columnsOf(shown);
  const query = useInfiniteQuery(jobPages(filter, columns));
  const [chosen, setChosen] = useState<readonly string[]>([]);
  return (
    <Page
      title="Jobs"
      actions={
        <>
          {chosen.length > 0 && (
            <Button
              component={Link}
              to={`/compare?jobs=${chosen.join(",")}`}
              disabled={chosen.length < 2 || chosen.length > MOST_COMPARED}
              title={`2 to ${MOST_COMPARED} jobs can be compared`}
            >
              Compare {chosen.length}
            </Button>
          )}
          <CopyAs cli={commandOf(filter)} path={`jobs${queryOf(filter)}`} />
        </>
      }
    >
      <ListTools search={search} onSearch={(to) => void navigate({ search: to })} />
      <NewJobs />
      <Loaded query={query}>
        {(data) => {
          const jobs = data.pages.flatMap((page) => page.items);
          if (jobs.length === 0) return <NoJobs isFiltered={formatFilter(filter) !== ""} />;
          return (
            <JobList
              jobs={jobs}
              columns={columns}
              hasMore={query.hasNextPage}
              chosen={chosen}
              onChoose={(id) =>
                setChosen((old) =>
                  old.includes(id) ? old.filter((one) => one !== id) : [...old, id],
                )
              }
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

interface ListProps {
  jobs: Job[];
  columns: readonly string[];
  hasMore: boolean;
  chosen: readonly string[];
  onChoose: (id: string) => void;
  onEnd: () => void;
}

function JobList({ jobs, columns, hasMore, chosen, onChoose, onEnd }: ListProps) {
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
      <JobHead columns={columns} />
      <div
        role="rowgroup"
        className="job-rows"
        style={{ height: rows.getTotalSize(), position: "relative", ...shapeOf(columns) }}
      >
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
              <JobRow
                job={job}
                columns={columns}
                isChosen={chosen.includes(job.id)}
                onChoose={() => onChoose(job.id)}
              />
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
    ...conditionsOf(filter).map((one) => `--where ${JSON.stringify(one)}`),
  ].filter(Boolean);
  return ["job list", ...flags].join(" ");
}

function queryOf(filter: JobFilter): string {
  const { where: _, ...rest } = filter;
  const query = new URLSearchParams([
    ...Object.entries(rest).map(([name, value]) => [name, String(value)]),
    ...conditionsOf(filter).map((one) => ["where", one]),
  ]).toString();
  return query && `?${query}`;
}
