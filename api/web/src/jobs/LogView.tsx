import { Button, Group, Select, Switch, Text, TextInput } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import Anser from "anser";
import { ArrowDown, ArrowUp, TriangleAlert } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { address } from "../api/root";
import type { Job } from "../api/client";
import { isTerminal } from "../live/merge";
import { Download } from "../parts/page";
import { findError, type LogLine } from "./log";
import { useLog } from "./useLog";

/** A job's log, live; of a pipeline the logs of all its steps. */
export function LogView({ job }: { job: Job }) {
  const [attempt, setAttempt] = useState<number>();
  // A resumed job prints again: its stream had ended with the generation before.
  return (
    <Lines key={`${job.id} ${job.generation}`} job={job} attempt={attempt} onAttempt={setAttempt} />
  );
}

interface Props {
  job: Job;
  attempt?: number;
  onAttempt: (attempt?: number) => void;
}

function Lines({ job, attempt, onAttempt }: Props) {
  const log = useLog(job.id, attempt);
  const [search, setSearch] = useState("");
  const [wrap, setWrap] = useState(true);
  const [times, setTimes] = useState(false);
  const [follow, setFollow] = useState(!isTerminal(job.state));
  const frame = useRef<HTMLDivElement>(null);
  const lines = useMemo(() => {
    const wanted = search.toLowerCase();
    return wanted
      ? log.lines.filter((line) => line.text.toLowerCase().includes(wanted))
      : log.lines;
  }, [log.lines, search]);
  const rows = useVirtualizer({
    count: lines.length,
    getScrollElement: () => frame.current,
    estimateSize: () => 19,
    overscan: 30,
  });
  const error = findError(lines);
  useEffect(() => {
    if (follow && lines.length > 0) rows.scrollToIndex(lines.length - 1);
  }, [follow, lines.length, rows]);
  const jump = (index: number) => {
    setFollow(false);
    rows.scrollToIndex(index, { align: index === error ? "center" : "auto" });
  };
  const isPipeline = Boolean(job.children);
  return (
    <div>
      <Group gap="xs" mb="xs">
        <TextInput
          size="xs"
          aria-label="Search the log"
          placeholder="Search"
          value={search}
          onChange={(event) => setSearch(event.currentTarget.value)}
          style={{ flex: "1 1 8rem" }}
        />
        {job.attempt > 1 && (
          <Select
            size="xs"
            w={130}
            aria-label="Attempt"
            placeholder="All attempts"
            clearable
            data={Array.from({ length: job.attempt }, (_, index) => ({
              value: String(index + 1),
              label: `Attempt ${index + 1}`,
            }))}
            value={attempt ? String(attempt) : null}
            onChange={(value) => onAttempt(value ? Number(value) : undefined)}
          />
        )}
        <Toggle label="Wrap" checked={wrap} onChange={setWrap} />
        <Toggle label="Times" checked={times} onChange={setTimes} />
        {!log.hasEnded && <Toggle label="Follow" checked={follow} onChange={setFollow} />}
        <Button.Group>
          {error >= 0 && (
            <Button
              size="xs"
              variant="default"
              leftSection={<TriangleAlert size={12} aria-hidden />}
              onClick={() => jump(error)}
            >
              First error
            </Button>
          )}
          <Button size="xs" variant="default" aria-label="To the top" onClick={() => jump(0)}>
            <ArrowUp size={12} aria-hidden />
          </Button>
          <Button
            size="xs"
            variant="default"
            aria-label="To the end"
            onClick={() => jump(lines.length - 1)}
          >
            <ArrowDown size={12} aria-hidden />
          </Button>
        </Button.Group>
        <Download href={address(`/v1/jobs/${job.id}/logs`)}>Download</Download>
      </Group>
      <div
        ref={frame}
        className={`log ${wrap ? "wrap" : ""}`}
        role="log"
        aria-label="Log"
        tabIndex={0}
        onWheel={(event) => event.deltaY < 0 && setFollow(false)}
      >
        <div style={{ height: rows.getTotalSize(), position: "relative", minWidth: "max-content" }}>
          {rows.getVirtualItems().map((item) => {
            const line = lines[item.index];
            return (
              line && (
                <div
                  key={item.key}
                  data-index={item.index}
                  ref={rows.measureElement}
                  className={`log-line ${line.stream} ${item.index === error ? "hit" : ""}`}
                  style={{
                    position: "absolute",
                    transform: `translateY(${item.start}px)`,
                    width: wrap ? (frame.current?.clientWidth ?? undefined) : undefined,
                  }}
                >
                  {times && <span className="at">{new Date(line.at).toLocaleTimeString()}</span>}
                  {isPipeline && <span className="step">{line.step}</span>}
                  <Coloured line={line} />
                </div>
              )
            );
          })}
        </div>
      </div>
      <Text size="xs" className="quiet" mt={4}>
        {log.isBroken && !log.hasEnded ? "Reconnecting … " : ""}
        {lines.length} {lines.length === 1 ? "line" : "lines"}
        {search && ` of ${log.lines.length}`}
        {log.hasEnded ? "" : ", live"}
      </Text>
    </div>
  );
}

function Toggle({
  label,
  checked,
  onChange,
}: {
  label: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
}) {
  return (
    <Switch
      size="xs"
      label={label}
      checked={checked}
      onChange={(event) => onChange(event.currentTarget.checked)}
    />
  );
}

function Coloured({ line }: { line: LogLine }) {
  if (!line.text.includes("\u001b")) return <span>{line.text || " "}</span>;
  return (
    <span>
      {Anser.ansiToJson(line.text, { remove_empty: true }).map((part, index) => (
        <span
          key={index}
          style={{
            color: part.fg ? `rgb(${part.fg})` : undefined,
            background: part.bg ? `rgb(${part.bg})` : undefined,
            fontWeight: part.decoration === "bold" ? 700 : undefined,
          }}
        >
          {part.content}
        </span>
      ))}
    </span>
  );
}
