import { Stack, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { Boxes, Database, ListTree, type LucideIcon, Rocket } from "lucide-react";
import { Named } from "./named";

/** Something in a lineage, as the API tells of it. */
export interface LineageNode {
  kind?: string;
  uri?: string;
  note?: string;
}

const ICONS: Record<string, LucideIcon> = {
  job: ListTree,
  data: Database,
  model: Boxes,
  deployment: Rocket,
};

/** What something came from, or what uses it; none: said where there is nothing. */
export function LineageList({ nodes, none }: { nodes: LineageNode[]; none: string }) {
  if (nodes.length === 0) {
    return (
      <Text size="sm" className="quiet">
        {none}
      </Text>
    );
  }
  return (
    <Stack component="ul" gap={4} m={0} p={0} style={{ listStyle: "none" }}>
      {nodes.map(({ kind = "", uri = "", note = "" }) => {
        const Icon = ICONS[kind] ?? ListTree;
        return (
          <li key={`${uri} ${note}`} style={{ overflowWrap: "anywhere", fontSize: "0.9rem" }}>
            <span className="state" style={{ whiteSpace: "normal" }}>
              <Icon size={14} aria-label={kind} />
              <Place kind={kind} uri={uri} note={note} />
            </span>
          </li>
        );
      })}
    </Stack>
  );
}

function Place({ kind, uri, note }: Required<LineageNode>) {
  const words = note && <span className="quiet">{note}</span>;
  if (kind === "job") {
    return (
      <Link to="/jobs/$ref" params={{ ref: uri.replace(/^job:/, "") }}>
        {note || uri}
      </Link>
    );
  }
  if (kind === "deployment") {
    return (
      <span>
        <Link to="/endpoints/$name" params={{ name: uri.split("/")[0] ?? "" }}>
          {uri}
        </Link>{" "}
        {words}
      </span>
    );
  }
  return (
    <span>
      <Named uri={uri} /> {words}
    </span>
  );
}
