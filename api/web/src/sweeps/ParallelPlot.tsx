import { type PointerEvent, useCallback, useRef } from "react";
import type { Trial } from "../api/client";
import { number } from "../parts/format";
import { type Draw, type DrawSlowly, useCanvas } from "./canvas";
import { type Axis, type Brushes, placeOn } from "./space";

const HEIGHT = 260;
const PAD = { left: 40, right: 60, top: 34, bottom: 14 };
const GRAB_PX = 14;
const NEAR_PX = 12;
/** Lines drawn in one go. */
const PIECE = 50;
type Pen = CanvasRenderingContext2D;

export interface PlotProps {
  trials: Trial[];
  /** Of the primary metric, last. */
  axes: Axis[];
  valueOf: (trial: Trial, axis: Axis) => unknown;
  /** How good a trial is, 0 to 1; undefined for one without a value. */
  rank: (trial: Trial) => number | undefined;
  isOn: (trial: Trial) => boolean;
  best?: number;
  hovered?: number;
  onHover: (number: number | undefined) => void;
}

interface Props extends PlotProps {
  brushes: Brushes;
  onBrush: (axis: string, brush: readonly [number, number] | undefined) => void;
}

/** A line for each trial through its parameters to its value; drag along an axis to choose. */
export function ParallelPlot(props: Props) {
  const { trials, axes, valueOf, rank, isOn, best, hovered, onHover, brushes, onBrush } = props;
  const drag = useRef<{ axis: Axis; from: number }>(null);
  const xOf = useCallback(
    (index: number, width: number) =>
      PAD.left + (index / Math.max(1, axes.length - 1)) * (width - PAD.left - PAD.right),
    [axes.length],
  );
  const line = useCallback(
    (trial: Trial, width: number) =>
      axes.flatMap((axis, index): [number, number][] => {
        const place = placeOn(axis, valueOf(trial, axis));
        return place === undefined ? [] : [[xOf(index, width), yOf(place)]];
      }),
    [axes, valueOf, xOf],
  );
  const stroke = useCallback(
    (pen: Pen, width: number, trial: Trial, colour: string, weight: number) => {
      pen.strokeStyle = colour;
      pen.lineWidth = weight;
      pen.beginPath();
      for (const [x, y] of line(trial, width)) pen.lineTo(x, y);
      pen.stroke();
    },
    [line],
  );
  const draw = useCallback<DrawSlowly>(
    function* (pen, width, palette) {
      const byRank = trials.toSorted((one, other) => (rank(one) ?? -1) - (rank(other) ?? -1));
      const isShown = new Set(byRank.filter(isOn));
      yield;
      for (const [index, trial] of byRank.entries()) {
        if (!isShown.has(trial)) stroke(pen, width, trial, palette.off, 1);
        if (index % PIECE === 0) yield;
      }
      let index = 0;
      for (const trial of isShown) {
        if ((index += 1) % PIECE === 0) yield;
        const isGood = (rank(trial) ?? 0) > 0.75;
        stroke(pen, width, trial, isGood ? palette.good : palette.poor, 1);
      }
    },
    [trials, rank, isOn, stroke],
  );
  const over = useCallback<Draw>(
    (pen, width, palette) => {
      const find = (number?: number) => trials.find((trial) => trial.number === number);
      const [bestOne, hoveredOne] = [find(best), find(hovered)];
      if (bestOne) stroke(pen, width, bestOne, palette.best, 2.5);
      if (hoveredOne) stroke(pen, width, hoveredOne, palette.hover, 2.5);
    },
    [trials, best, hovered, stroke],
  );
  const { canvas, frame, width } = useCanvas(HEIGHT, draw, over);

  const at = (event: PointerEvent<SVGSVGElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const axisAt = (x: number) => axes.find((_, index) => Math.abs(xOf(index, width) - x) < GRAB_PX);
  const placeAt = (y: number) =>
    Math.min(1, Math.max(0, (HEIGHT - PAD.bottom - y) / (HEIGHT - PAD.top - PAD.bottom)));

  return (
    <div ref={frame} style={{ position: "relative", height: HEIGHT }}>
      <canvas
        ref={canvas}
        style={{ position: "absolute", inset: 0, width: "100%", height: HEIGHT }}
        role="img"
        aria-label={`${trials.length} trials over ${axes.map((axis) => axis.name).join(", ")}`}
      />
      <svg
        className="chart"
        width={width || 300}
        height={HEIGHT}
        style={{ position: "absolute", inset: 0, touchAction: "pan-y" }}
        aria-hidden
        onPointerDown={(event) => {
          const { x, y } = at(event);
          const axis = axisAt(x);
          if (!axis) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          drag.current = { axis, from: placeAt(y) };
        }}
        onPointerMove={(event) => {
          const { x, y } = at(event);
          if (drag.current) {
            const { axis, from } = drag.current;
            const to = placeAt(y);
            onBrush(axis.name, [Math.min(from, to), Math.max(from, to)]);
            return;
          }
          onHover(nearest(trials, (trial) => line(trial, width), x, y));
        }}
        onPointerUp={(event) => {
          if (!drag.current) return;
          const { axis, from } = drag.current;
          if (Math.abs(placeAt(at(event).y) - from) < 0.02) onBrush(axis.name, undefined);
          drag.current = null;
        }}
        onPointerLeave={() => onHover(undefined)}
      >
        {axes.map((axis, index) => {
          const x = xOf(index, width || 300);
          const brush = brushes[axis.name];
          return (
            <g key={axis.name} style={{ cursor: "ns-resize" }}>
              <line className="axis" x1={x} x2={x} y1={PAD.top} y2={HEIGHT - PAD.bottom} />
              <text x={x} y={14} textAnchor="middle" style={{ fontWeight: 600 }}>
                {axis.name}
              </text>
              {marksOf(axis).map(([place, words]) => (
                <text key={words} x={x + 5} y={yOf(place) + 4}>
                  {words}
                </text>
              ))}
              {brush && (
                <rect
                  x={x - 6}
                  width={12}
                  y={yOf(brush[1])}
                  height={yOf(brush[0]) - yOf(brush[1])}
                  fill="var(--state-running)"
                  opacity={0.35}
                />
              )}
            </g>
          );
        })}
      </svg>
    </div>
  );
}

function yOf(place: number): number {
  return HEIGHT - PAD.bottom - place * (HEIGHT - PAD.top - PAD.bottom);
}

function marksOf(axis: Axis): [number, string][] {
  if (axis.kind === "category")
    return axis.values.map((value) => [placeOn(axis, value) ?? 0, value]);
  return [
    [0, number(axis.low)],
    [1, number(axis.high)],
  ];
}

function nearest(
  trials: readonly Trial[],
  line: (trial: Trial) => [number, number][],
  x: number,
  y: number,
): number | undefined {
  let found: number | undefined;
  let least = NEAR_PX;
  for (const trial of trials) {
    const points = line(trial);
    for (let index = 1; index < points.length; index += 1) {
      const [x0, y0] = points[index - 1]!;
      const [x1, y1] = points[index]!;
      if (x < x0 || x > x1) continue;
      const away = Math.abs(y0 + ((x - x0) / (x1 - x0 || 1)) * (y1 - y0) - y);
      if (away < least) {
        least = away;
        found = trial.number;
      }
    }
  }
  return found;
}
