// Rendered manifests as TypeScript, so that the compiler names wrong types,
// missing and unknown fields:  node schemas.js OUT.ts FILE.yaml...
// Kinds that no package describes are listed on stdout.
const fs = require("fs");
const yaml = require("js-yaml");

const groups = [
  [/\.coreos\.com$/, "@kubernetes-models/prometheus-operator/"],
  [/^keda\.sh$/, "@kubernetes-models/keda/"],
  [/./, "kubernetes-models/"],
];
const [out, ...files] = process.argv.slice(2);
const lines = [];
files.forEach((file, f) =>
  yaml.loadAll(fs.readFileSync(file, "utf8")).forEach((o, n) => {
    const group = o.apiVersion.includes("/") ? o.apiVersion.split("/")[0] : "core";
    const module = groups.find(([of]) => of.test(group))[1] + o.apiVersion + "/" + o.kind;
    if (!fs.existsSync(`${process.env.NODE_PATH}/${module}.d.ts`)) {
      console.log(`${file}: no schema for ${o.apiVersion} ${o.kind}`);
      return;
    }
    lines.push(`import type { I${o.kind} as K${f}_${n} } from "${module}";`);
    lines.push(`// ${file} ${o.kind} ${o.metadata.name}`);
    lines.push(`export const o${f}_${n}: K${f}_${n} = ${JSON.stringify(o)};`);
  }));
fs.writeFileSync(out, lines.join("\n"));
