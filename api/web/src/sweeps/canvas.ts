import { useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useEffect, useRef } from "react";

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

export type Draw = (pen: CanvasRenderingContext2D, width: number, palette: Palette) => void;

/** A canvas as wide as its frame; `draw` is called in CSS pixels whenever something changes. */
export function useCanvas(height: number, draw: Draw) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { ref: frame, width } = useElementSize();
  const palette = PALETTES[useComputedColorScheme("light")];
  useEffect(() => {
    const target = canvas.current;
    const pen = target?.getContext("2d");
    if (!target || !pen || width === 0) return;
    const ratio = window.devicePixelRatio || 1;
    target.width = width * ratio;
    target.height = height * ratio;
    pen.scale(ratio, ratio);
    draw(pen, width, palette);
  }, [width, height, palette, draw]);
  return { canvas, frame, width };
}
