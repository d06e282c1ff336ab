import { address } from "../api/root";
import type { Event } from "../api/client";

export type LinkState = "connecting" | "live" | "broken";

const RETRY_MS = 2000;
const HIDDEN_MS = 30_000;

interface Listener {
  onEvent: (event: Event) => void;
  /** Events may be missing: whatever is shown must be read again. */
  onGap: () => void;
  onState: (state: LinkState) => void;
}

/**
 * Follow the server's history over one connection, without a gap from the first event on.
 *
 * A tab in the background lets its connection go after half a minute (browsers allow six to one
 * server) and resumes where it stopped. Returns what ends it.
 */
export function followEvents(listener: Listener): () => void {
  let source: EventSource | undefined;
  let last: string | undefined;
  let timer: number | undefined;
  let hiding: number | undefined;

  function open() {
    close();
    listener.onState("connecting");
    const query = last ? `?cursor=${encodeURIComponent(last)}` : "";
    const opened = new EventSource(address(`/v1/events${query}`));
    source = opened;
    opened.onopen = () => {
      listener.onState("live");
      if (!last) listener.onGap();
    };
    opened.onmessage = (message: MessageEvent<string>) => {
      last = message.lastEventId || last;
      listener.onEvent(JSON.parse(message.data) as Event);
    };
    opened.onerror = () => {
      listener.onState("broken");
      // The browser tries again by itself unless it was refused, as by a proxy without a backend.
      if (opened.readyState === EventSource.CLOSED) timer = window.setTimeout(open, RETRY_MS);
    };
  }

  function close() {
    window.clearTimeout(timer);
    source?.close();
    source = undefined;
  }

  function onVisibility() {
    window.clearTimeout(hiding);
    if (document.hidden) hiding = window.setTimeout(close, HIDDEN_MS);
    else if (!source) open();
  }

  document.addEventListener("visibilitychange", onVisibility);
  open();
  return () => {
    document.removeEventListener("visibilitychange", onVisibility);
    window.clearTimeout(hiding);
    close();
  };
}
