import { useCallback, useState } from "react";

const KEPT = "mlq.designer";
const MOST = 100;

interface Draft {
  past: string[];
  text: string;
  future: string[];
}

export interface DraftControl {
  text: string;
  change: (text: string) => void;
  undo?: () => void;
  redo?: () => void;
}

/** The file being worked on, with the way back; it survives a reload. begin: what to start from. */
export function useDraft(begin: string | undefined, blank: string): DraftControl {
  const [draft, setDraft] = useState<Draft>(() => ({
    past: [],
    text: begin ?? localStorage.getItem(KEPT) ?? blank,
    future: [],
  }));
  const set = useCallback((next: (old: Draft) => Draft) => {
    setDraft((old) => {
      const after = next(old);
      localStorage.setItem(KEPT, after.text);
      return after;
    });
  }, []);
  const change = useCallback(
    (text: string) =>
      set((old) =>
        text === old.text ? old : { past: [...old.past, old.text].slice(-MOST), text, future: [] },
      ),
    [set],
  );
  const undo = () =>
    set(({ past, text, future }) => ({
      past: past.slice(0, -1),
      text: past.at(-1) ?? text,
      future: [text, ...future],
    }));
  const redo = () =>
    set(({ past, text, future }) => ({
      past: [...past, text],
      text: future[0] ?? text,
      future: future.slice(1),
    }));
  return {
    text: draft.text,
    change,
    undo: draft.past.length > 0 ? undo : undefined,
    redo: draft.future.length > 0 ? redo : undefined,
  };
}
