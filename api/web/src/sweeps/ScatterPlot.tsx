import { type PointerEvent, useCallback } from "react";
import type { Trial } from "../api/client";
import { number } from "../parts/format";
import { type Draw, type DrawSlowly, useCanvas } from "./canvas";
import type { PlotProps } from "./ParallelPlot";
import { type Axis, placeOn } from "./space";

const PAD = { left: 46, right: 10, top: 8, bottom: 22 };
const NEAR_PX = 10;
/** Dots drawn in one go. */
const PIECE = 200;
type Pen = CanvasRenderingContext2D;

interface Props extends Omit<PlotProps, "axes"> {
  x: Axis;
  y: Axis;
  height: number;
  /** Best values so far: [number, value]. */
  steps?: [number, number][];
}

/** A dot for each trial. */
export function ScatterPlot(props: Props) {
  const { trials, x, y, valueOf, rank, isOn, best, hovered, onHover, height, steps } = props;
  const point = useCallback(
    (width: number, across: unknown, up: unknown): [number, number] | undefined => {
      const left = placeOn(x, across);
      const top = placeOn(y, up);
      if (left === undefined || top === undefined) return undefined;
      return [
        PAD.left + left * (width - PAD.left - PAD.right),
        height - PAD.bottom - top * (height - PAD.top - PAD.bottom),
      ];
    },
    [x, y, height],
  );
  const dot = useCallback(
    (pen: Pen, width: number, trial: Trial, colour: string, radius: number) => {
      const place = point(width, valueOf(trial, x), valueOf(trial, y));
      if (!place) return;
      pen.fillStyle = colour;
      pen.beginPath();
      pen.arc(place[0], place[1], radius, 0, 7);
      pen.fill();
    },
    [x, y, valueOf, point],
  );
  const draw = useCallback<DrawSlowly>(
    function* (pen, width, palette) {
      pen.strokeStyle = palette.line;
      pen.strokeRect(
        PAD.left,
        PAD.top,
        width - PAD.left - PAD.right,
        height - PAD.top - PAD.bottom,
      );
      const isShown = new Set(trials.filter(isOn));
      for (const [index, trial] of trials.entries()) {
        if (!isShown.has(trial)) dot(pen, width, trial, palette.off, 2.5);
        if (index % PIECE === 0) yield;
      }
      let index = 0;
      for (const trial of isShown) {
        if ((index += 1) % PIECE === 0) yield;
        dot(pen, width, trial, (rank(trial) ?? 0) > 0.75 ? palette.good : palette.poor, 3);
      }
      if (steps) {
        pen.strokeStyle = palette.best;
        pen.lineWidth = 1.5;
        pen.beginPath();
        let level: number | undefined;
        for (const [at, value] of [...steps, [x.high, steps.at(-1)?.[1]]] as [number, number][]) {
          const corner = level === undefined ? undefined : point(width, at, level);
          if (corner) pen.lineTo(...corner);
          const place = point(width, at, value);
          if (place) pen.lineTo(...place);
          level = value;
        }
        pen.stroke();
      }
    },
    [trials, x, rank, isOn, height, steps, point, dot],
  );
  const over = useCallback<Draw>(
    (pen, width, palette) => {
      const find = (number?: number) => trials.find((trial) => trial.number === number);
      const [bestOne, hoveredOne] = [find(best), find(hovered)];
      if (bestOne) dot(pen, width, bestOne, palette.best, 5);
      if (hoveredOne) dot(pen, width, hoveredOne, palette.hover, 5.5);
    },
    [trials, best, hovered, dot],
  );
  const { canvas, frame, width } = useCanvas(height, draw, over);
  const onMove = (event: PointerEvent<SVGSVGElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    let found: number | undefined;
    let least = NEAR_PX;
    for (const trial of trials) {
      const place = point(width, valueOf(trial, x), valueOf(trial, y));
      if (!place) continue;
      const away = Math.hypot(
        place[0] - event.clientX + box.left,
        place[1] - event.clientY + box.top,
      );
      if (away < least) {
        least = away;
        found = trial.number;
      }
    }
    onHover(found);
  };
  const ends = (axis: Axis): [string, string] =>
    axis.kind === "category"
      ? [axis.values[0] ?? "", axis.values.at(-1) ?? ""]
      : [number(axis.low), number(axis.high)];
  const [left, right] = ends(x);
  const [low, high] = ends(y);
  return (
    <div ref={frame} style={{ position: "relative", height }}>
      <canvas
        ref={canvas}
        style={{ position: "absolute", inset: 0, width: "100%", height }}
        role="img"
        aria-label={`${y.name} over ${x.name} of ${trials.length} trials`}
      />
      <svg
        className="chart"
        width={width || 200}
        height={height}
        style={{ position: "absolute", inset: 0 }}
        aria-hidden
        onPointerMove={onMove}
        onPointerLeave={() => onHover(undefined)}
      >
        <text x={PAD.left} y={height - 7}>
          {left}
        </text>
        <text x={(width + PAD.left) / 2} y={height - 7} textAnchor="middle">
          {x.name}
        </text>
        <text x={width - PAD.right} y={height - 7} textAnchor="end">
          {right}
        </text>
        <text x={PAD.left - 4} y={height - PAD.bottom} textAnchor="end">
          {low}
        </text>
        <text x={PAD.left - 4} y={PAD.top + 9} textAnchor="end">
          {high}
        </text>
      </svg>
    </div>
  );
}
