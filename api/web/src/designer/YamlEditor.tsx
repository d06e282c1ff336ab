import { useComputedColorScheme } from "@mantine/core";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { basicSetup } from "codemirror";
import { Compartment, EditorState, Transaction } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "react";
import type { Problem } from "./check";

interface Props {
  text: string;
  problems: readonly Problem[];
  onChange: (text: string) => void;
}

const FRAME = EditorView.theme({
  "&": { height: "100%", fontSize: "0.8rem", backgroundColor: "transparent" },
  ".cm-scroller": { fontFamily: "var(--mantine-font-family-monospace)" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--soft)" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--state-quiet)", border: "none" },
});

// By the page's own colours, which are legible in both schemes.
const WORDS = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--state-running)" },
  { tag: [tags.string, tags.content], color: "inherit" },
  { tag: [tags.comment, tags.lineComment], color: "var(--state-quiet)", fontStyle: "italic" },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: "var(--state-waiting)" },
]);

/** The job file as text, with the server's findings in its margin. */
export default function YamlEditor({ text, problems, onChange }: Props) {
  const scheme = useComputedColorScheme("light");
  const frame = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const colours = useRef(new Compartment());
  const tell = useRef(onChange);
  tell.current = onChange;
  useEffect(() => {
    const made = new EditorView({
      parent: frame.current!,
      state: EditorState.create({
        doc: text,
        extensions: [
          basicSetup,
          yaml(),
          syntaxHighlighting(WORDS),
          lintGutter(),
          FRAME,
          colours.current.of([]),
          EditorView.contentAttributes.of({ "aria-label": "Job file", tabindex: "0" }),
          EditorView.updateListener.of((update) => {
            const isTyped = update.transactions.some(
              (one) => one.docChanged && one.annotation(Transaction.remote) !== true,
            );
            if (isTyped) tell.current(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = made;
    return () => made.destroy();
    // The text that it begins with; later ones come by the effect below.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);
  useEffect(() => {
    const shown = view.current!.state.doc.toString();
    if (shown === text) return;
    const [from, to, insert] = difference(shown, text);
    view.current!.dispatch({
      changes: { from, to, insert },
      annotations: Transaction.remote.of(true),
    });
  }, [text]);
  useEffect(() => {
    view.current!.dispatch({
      effects: colours.current.reconfigure(EditorView.theme({}, { dark: scheme === "dark" })),
    });
  }, [scheme]);
  useEffect(() => {
    const { state } = view.current!;
    const found = problems.flatMap(({ line, message, path }): Diagnostic[] => {
      if (!line || line > state.doc.lines) return [];
      const { from, to } = state.doc.line(line);
      return [{ from, to, severity: "error", message: path ? `${path}: ${message}` : message }];
    });
    view.current!.dispatch(setDiagnostics(state, found));
  }, [problems, text]);
  return <div ref={frame} className="card designer-text" />;
}

/** The smallest stretch in which two texts differ, so that the cursor keeps its place. */
function difference(before: string, after: string): [number, number, string] {
  let start = 0;
  while (start < before.length && before[start] === after[start]) start += 1;
  let end = 0;
  while (
    end < Math.min(before.length, after.length) - start &&
    before[before.length - 1 - end] === after[after.length - 1 - end]
  ) {
    end += 1;
  }
  return [start, before.length - end, after.slice(start, after.length - end)];
}
