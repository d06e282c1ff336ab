import { useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useCallback, useEffect, useRef } from "react";

export interface Palette {
  good: string;
  poor: string;
  off: string;
  hover: string;
  best: string;
  line: string;
}

const PALETTES: Record<"light" | "dark", Palette> = {
  light: {
    good: "#1c5fd4",
    poor: "#a9c0e8",
    off: "#e3e6ea",
    hover: "#111111",
    best: "#c4410c",
    line: "#d7dce2",
  },
  dark: {
    good: "#79b0ff",
    poor: "#3d567d",
    off: "#33373d",
    hover: "#ffffff",
    best: "#ff9a5c",
    line: "#3a3f47",
  },
};

/** Draws in pieces: between two of them the page may do something else. */
export type DrawSlowly = (
  pen: CanvasRenderingContext2D,
  width: number,
  palette: Palette,
) => Generator<void>;
export type Draw = (pen: CanvasRenderingContext2D, width: number, palette: Palette) => void;

const SLICE_MS = 12;

/**
 * A canvas as wide as its frame, in CSS pixels.
 *
 * draw: the picture, kept until another is given. over: what is drawn on top of it, quick and often.
 */
export function useCanvas(height: number, draw: DrawSlowly, over: Draw) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { ref: frame, width } = useElementSize();
  const palette = PALETTES[useComputedColorScheme("light")];
  const buffer = useRef<HTMLCanvasElement>(null);
  const latest = useRef(over);
  latest.current = over;
  const show = useCallback(() => {
    const target = canvas.current;
    const pen = target?.getContext("2d");
    if (!target || !pen || !buffer.current) return;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, target.width, target.height);
    pen.drawImage(buffer.current, 0, 0);
    pen.scale(window.devicePixelRatio || 1, window.devicePixelRatio || 1);
    latest.current(pen, width, palette);
  }, [width, palette]);
  useEffect(() => {
    const target = canvas.current;
    const made = document.createElement("canvas");
    const pen = made.getContext("2d");
    if (!target || !pen || width === 0) return undefined;
    const ratio = window.devicePixelRatio || 1;
    made.width = width * ratio;
    made.height = height * ratio;
    pen.scale(ratio, ratio);
    const pieces = draw(pen, width, palette);
    let timer = 0;
    const go = () => {
      const end = performance.now() + SLICE_MS;
      while (performance.now() < end) {
        if (!pieces.next().done) continue;
        // What was shown until now goes at once.
        target.width = made.width;
        target.height = made.height;
        buffer.current = made;
        show();
        return;
      }
      timer = window.setTimeout(go);
    };
    timer = window.setTimeout(go);
    return () => window.clearTimeout(timer);
  }, [width, height, palette, draw, show]);
  useEffect(show, [show, over]);
  return { canvas, frame, width };
}
