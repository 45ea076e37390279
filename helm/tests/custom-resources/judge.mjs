// Judges custom resources by the schemas of their definitions: a list of objects on standard input, a
// list of complaints on standard output. tests/it/judges.rs is who asks; `npm ci` brings the schemas.
//
// The schemas let unknown fields pass, as clusters do, which drop them: a field with a typo would have no
// effect and nobody would know. So each object is handed out through proxies that note what is read: a
// field that no schema reads is one that no schema knows.

import { readFileSync } from "node:fs";

const PROMETHEUS =
  "prometheus-operator/_schemas/ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1";
const GATEWAY = "gateway-api/_schemas/IoK8sSigsGatewayApiApisV1";
const SCHEMAS = {
  "monitoring.coreos.com/v1/ServiceMonitor": `${PROMETHEUS}ServiceMonitor`,
  "monitoring.coreos.com/v1/PodMonitor": `${PROMETHEUS}PodMonitor`,
  "monitoring.coreos.com/v1/PrometheusRule": `${PROMETHEUS}PrometheusRule`,
  "gateway.networking.k8s.io/v1/HTTPRoute": `${GATEWAY}HTTPRoute`,
};

/** The same value; what has not been read of it yet is in `unread`, by its JSON pointer. */
function watched(value, pointer, unread) {
  if (value === null || typeof value !== "object") return value;
  for (const key of Object.keys(value)) unread.add(`${pointer}/${key}`);
  const children = new Map();
  const get = (target, key) => {
    if (typeof key !== "string" || !Object.hasOwn(target, key)) return Reflect.get(target, key);
    unread.delete(`${pointer}/${key}`);
    if (!children.has(key)) {
      children.set(key, watched(target[key], `${pointer}/${key}`, unread));
    }
    return children.get(key);
  };
  return new Proxy(value, { get });
}

async function complaints(object) {
  const name = `${object.kind}/${object.metadata.name}`;
  const schema = SCHEMAS[`${object.apiVersion}/${object.kind}`];
  if (schema === undefined) return [`${name}: no schema for ${object.apiVersion}`];
  // By its path: the packages export classes, and only these functions let the proxies through.
  const { validate } = await import(`./node_modules/@kubernetes-models/${schema}.js`);
  const unread = new Set();
  validate(watched(object, "", unread));
  const refused = (validate.errors ?? []).map(
    ({ instancePath, keyword, params }) => `${instancePath}: ${keyword} ${JSON.stringify(params)}`,
  );
  const unknown = [...unread].map((pointer) => `${pointer}: unknown field`);
  return [...refused, ...unknown].map((complaint) => `${name}: ${complaint}`);
}

const objects = JSON.parse(readFileSync(0, "utf8"));
const found = [];
for (const object of objects) found.push(...(await complaints(object)));
process.stdout.write(JSON.stringify(found));
