// Holds boards to Grafana's published types: node check.mjs BOARD.json…
// The types become a JSON schema, which refuses what they do not know.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import { createGenerator } from "ts-json-schema-generator";

const here = dirname(fileURLToPath(import.meta.url));
const types = join(here, "node_modules/@grafana/grafana-foundation-sdk/dist");
const ajv = new Ajv({ allErrors: true, strict: false });
const checks = new Map();
const wrong = [];

/** A value against a type of one of the package's modules, which are called as the kinds of panels are. */
function hold(module, type, value, place) {
  const key = `${module}.${type}`;
  if (!checks.has(key)) {
    const path = join(types, module, "types.gen.d.ts");
    const generator = createGenerator({ path, type, skipTypeCheck: true, additionalProperties: false });
    checks.set(key, ajv.compile(generator.createSchema(type)));
  }
  const check = checks.get(key);
  if (!check(value)) {
    for (const { instancePath, message, params } of check.errors) {
      wrong.push(`${place}${instancePath}: ${message} ${JSON.stringify(params)}`);
    }
  }
}

for (const file of process.argv.slice(2)) {
  const board = JSON.parse(readFileSync(file, "utf8"));
  for (const panel of board.panels) {
    const place = `${file}: ${panel.title}`;
    if (panel.type === "row") continue;
    hold(panel.type, "Options", panel.options, place);
    const custom = panel.fieldConfig?.defaults.custom;
    if (custom) hold(panel.type, "FieldConfig", custom, place);
    // Every query names its data source, which the published type of these has left out.
    for (const { datasource, ...query } of panel.targets ?? []) hold("prometheus", "dataquery", query, place);
  }
  // A panel's queries are any data source's there; they were held to their own type.
  hold("dashboard", "Dashboard", { ...board, panels: board.panels.map(({ targets, ...panel }) => panel) }, file);
}
if (wrong.length > 0) {
  console.error(wrong.join("\n"));
  process.exit(1);
}
