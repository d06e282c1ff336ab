import type { Endpoint } from "../api/client";

const COLOURS = ["#3b5bdb", "#0b7285", "#5f3dc4", "#a61e4d", "#5c940d", "#862e9c"];

export function colourOf(index: number): string {
  return COLOURS[index % COLOURS.length] ?? "#3b5bdb";
}

/** Who answers what share of an endpoint's requests. */
export function TrafficBar({ endpoint }: { endpoint: Endpoint }) {
  const words = endpoint.deployments.map(
    (one) => `${one.name} ${endpoint.traffic[one.name] ?? 0} %`,
  );
  return (
    <div className="traffic" role="img" aria-label={`Traffic: ${words.join(", ")}`}>
      {endpoint.deployments.map((one, index) => {
        const percent = endpoint.traffic[one.name] ?? 0;
        return (
          percent > 0 && (
            <div key={one.name} style={{ width: `${percent}%`, background: colourOf(index) }}>
              {one.name} {percent} %
            </div>
          )
        );
      })}
    </div>
  );
}
