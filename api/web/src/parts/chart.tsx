import { type KeyboardEvent, type ReactNode, useCallback, useId, useState } from "react";
import { number } from "./format";
import { linear, ticks } from "./scale";

export interface Point {
  x: number;
  y: number;
  label: string;
  isSelected?: boolean;
  mark?: ReactNode;
}

interface Props {
  points: Point[];
  name: string;
  height?: number;
  xTicks?: { x: number; label: string }[];
  /** x of points before which the line must not be drawn. */
  breaks?: ReadonlySet<number>;
  threshold?: number;
  onPick?: (x: number) => void;
  range?: { x: [number, number]; y: [number, number] };
  /** Whether points are drawn; by default where they are few. */
  dots?: boolean;
}

const PAD = { left: 52, right: 14, top: 14, bottom: 26 };

/** A line through points, each of them a button where they can be picked. */
export function LineChart({
  points,
  name,
  height = 200,
  xTicks,
  breaks,
  threshold,
  onPick,
  range,
  dots = points.length <= 120,
}: Props) {
  const title = useId();
  const [measured, setMeasured] = useState(0);
  const ref = useCallback((frame: HTMLDivElement) => {
    const watch = new ResizeObserver(([entry]) => entry && setMeasured(entry.contentRect.width));
    watch.observe(frame);
    return () => watch.disconnect();
  }, []);
  const width = measured || 640;
  const ys = points.map((point) => point.y);
  if (threshold !== undefined) ys.push(threshold);
  const xs = points.map((point) => point.x);
  const y = linear(range?.y ?? widened(ys), [height - PAD.bottom, PAD.top]);
  const x = linear(range?.x ?? widened(xs, 0.04), [PAD.left, width - PAD.right]);
  const path = points
    .map((point, index) => {
      const pen = index === 0 || breaks?.has(point.x) ? "M" : "L";
      return `${pen}${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)}`;
    })
    .join("");
  const pick = (point: Point) => ({
    role: "button",
    tabIndex: 0,
    onClick: () => onPick?.(point.x),
    onKeyDown: (event: KeyboardEvent) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        onPick?.(point.x);
      }
    },
  });
  return (
    <div ref={ref} style={{ width: "100%", minWidth: 0, overflow: "hidden" }}>
      <svg
        width={width}
        height={height}
        viewBox={`0 0 ${width} ${height}`}
        className="chart"
        role={onPick ? "group" : "img"}
        aria-labelledby={title}
      >
        <title id={title}>{name}</title>
        {ticks(y.domain, 4).map((value) => (
          <g key={value} aria-hidden>
            <line
              className="axis"
              x1={PAD.left}
              x2={width - PAD.right}
              y1={y(value)}
              y2={y(value)}
            />
            <text x={PAD.left - 6} y={y(value) + 4} textAnchor="end">
              {number(value)}
            </text>
          </g>
        ))}
        {(
          xTicks ?? ticks(x.domain, width / 90).map((value) => ({ x: value, label: number(value) }))
        ).map((tick) => (
          <text key={tick.x} x={x(tick.x)} y={height - 8} textAnchor="middle" aria-hidden>
            {tick.label}
          </text>
        ))}
        {threshold !== undefined && (
          <line
            x1={PAD.left}
            x2={width - PAD.right}
            y1={y(threshold)}
            y2={y(threshold)}
            stroke="var(--state-waiting)"
            strokeDasharray="4 3"
          />
        )}
        <path d={path} fill="none" stroke="var(--state-running)" strokeWidth={2} />
        {dots &&
          points.map((point) => (
            <g key={point.x}>
              {point.mark && (
                <g transform={`translate(${x(point.x)} ${y(point.y) - 16})`} aria-hidden>
                  {point.mark}
                </g>
              )}
              <circle
                className="point"
                cx={x(point.x)}
                cy={y(point.y)}
                r={point.isSelected ? 7 : 4}
                fill={
                  point.isSelected ? "var(--mantine-primary-color-filled)" : "var(--state-running)"
                }
                {...(onPick ? pick(point) : {})}
                aria-label={point.label}
              >
                <title>{point.label}</title>
              </circle>
            </g>
          ))}
      </svg>
    </div>
  );
}

function widened(values: number[], share = 0.12): [number, number] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const pad = (high - low) * share || Math.abs(high) * 0.05 || 1;
  return [low - pad, high + pad];
}

/** A trend without words, for tables. */
export function Sparkline({ values, name }: { values: number[]; name: string }) {
  if (values.length < 2) return <span className="quiet">–</span>;
  const x = linear([0, values.length - 1], [2, 98]);
  const y = linear(widened(values), [22, 2]);
  const path = values.map((value, index) => `${index ? "L" : "M"}${x(index)} ${y(value)}`).join("");
  return (
    <svg width={100} height={24} role="img" aria-label={name}>
      <path d={path} fill="none" stroke="var(--state-running)" strokeWidth={1.5} />
      <circle
        cx={x(values.length - 1)}
        cy={y(values[values.length - 1] ?? 0)}
        r={2.5}
        fill="var(--state-running)"
      />
    </svg>
  );
}
