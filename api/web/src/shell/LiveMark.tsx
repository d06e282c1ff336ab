import { Badge } from "@mantine/core";
import { useLive } from "../live/live";

const LOOKS = {
  connecting: { color: "gray", words: "connecting" },
  live: { color: "green", words: "live" },
  broken: { color: "orange", words: "reconnecting" },
} as const;

/** Whether what is shown follows the server. */
export function LiveMark() {
  const { link } = useLive();
  const { color, words } = LOOKS[link];
  return (
    <Badge variant="dot" color={color} role="status" tt="none" fw={500}>
      {words}
    </Badge>
  );
}
